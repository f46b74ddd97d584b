-- Receipts behind id $1 that are older than $2 go, and their rows with them: up to about $3 events. Together, for a row without
-- its receipt would be published again. A row that has one of the ids and none of the event_ids is not the acknowledged one: it stays, and is an
-- event to publish. A receipt of an older relay has no event_ids, and stays until the next session fills them in.
-- Receipts of other brokers than $4 stay whatever their age: no other broker may have those events. null means every broker.
with oldest as (
    select id, events, settled_at, sum(events) over (order by id) - events as events_before
    from (
        select id, events, settled_at
        from outbox.receipts
        where id > $1::bigint and ($4::text[] is null or broker = any ($4::text[])) and event_ids is not null
        order by id
        limit 256
    ) as first_receipts
), due as (
    select receipt.id, receipt.ids, receipt.event_ids, receipt.events
    from outbox.receipts as receipt
    where receipt.id in (
        select id from oldest where settled_at <= clock_timestamp() - $2::interval and events_before < $3::bigint)
    order by receipt.id
    for update skip locked
), gone as (
    delete from outbox.receipts as receipt using due where receipt.id = due.id
), purged as (
    delete from outbox.events as event
    using (select lower(span) as first_id, upper(span) - 1 as last_id from due, unnest(due.ids) as span) as covered
    where event.id between covered.first_id and covered.last_id
      and (event.event_id in (select unnest(event_ids) from due)) is true -- so that they are hashed, and no join is planned
)
select coalesce(max(id), $1::bigint), coalesce(sum(events), 0)::bigint from due
