-- The events with the ids $1 and event_ids $2 were acknowledged but not stored: they are dead letters again, with the error $3. Only a
-- row that is still there, and still counts as acknowledged, can be moved.
with chosen as (
    delete from outbox.events as event
    using unnest($1::bigint[], $2::uuid[]) as named (id, event_id)
    where event.id = named.id
      and event.event_id = named.event_id
      and exists (
          select from outbox.receipts as receipt
          cross join lateral outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
          where receipt.ids @> event.id and pair.id = event.id and coalesce(pair.event_id, event.event_id) = event.event_id)
    returning event.*
), uncovered as (
    update outbox.receipts as receipt
    set ids = receipt.ids - gone.ids,
        event_ids = case when receipt.event_ids is not null then array(
            select pair.event_id from outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
            where not gone.ids @> pair.id order by pair.id) end,
        events = (select coalesce(sum(upper(span) - lower(span)), 0) from unnest(receipt.ids - gone.ids) as span)
    from (select range_agg(int8range(id, id, '[]')) as ids from chosen) as gone
    where receipt.ids && gone.ids
)
insert into outbox.dead_letters
    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
select id, event_id, subject, key, headers, payload, created_at, 'refused', $3::text, 1, clock_timestamp(), clock_timestamp()
from chosen
returning id, event_id
