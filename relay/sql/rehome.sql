-- The receipts of the brokers $1, the fallbacks, are taken back, so that their rows are events to publish to the primary. Their ids are
-- remembered, for those events are marked.
with gone as (
    delete from outbox.receipts where broker = any ($1::text[]) returning ids, events
), remembered as (
    insert into outbox.rehomes (ids) select ids from gone
)
select coalesce(sum(events), 0)::bigint from gone
