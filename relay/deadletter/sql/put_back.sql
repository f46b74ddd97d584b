-- The events with the ids $1 and event_ids $2 were acknowledged but not stored: they are dead letters again, with the error $3. Only a
-- row that is still there, and still counts as acknowledged, can be moved.
with chosen as (
    delete from outbox.events as event
    using unnest($1::bigint[], $2::uuid[]) as named (id, event_id)
    where event.id = named.id
      and event.event_id = named.event_id
      and exists (select from outbox.receipts as receipt where receipt.ids @> event.id)
    returning event.*
), uncovered as (
    update outbox.receipts as receipt
    set ids = receipt.ids - gone.ids,
        events = (select coalesce(sum(upper(span) - lower(span)), 0) from unnest(receipt.ids - gone.ids) as span)
    from (select range_agg(int8range(id, id, '[]')) as ids from chosen) as gone
    where receipt.ids && gone.ids
)
insert into outbox.dead_letters
    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
select id, event_id, subject, key, headers, payload, created_at, 'refused', $3::text, 1, clock_timestamp(), clock_timestamp()
from chosen
returning id, event_id
