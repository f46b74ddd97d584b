-- What has become of the events with the ids $1 and event_ids $2, in their order. $3 is the broker that they are meant for, empty for
-- any.
with retried as (
    select * from unnest($1::bigint[], $2::uuid[]) with ordinality as r (id, event_id, place)
), covered as (
    select range_agg(span) as ids from outbox.receipts, unnest(ids) as span
)
select case
           when exists (select from outbox.dead_letters as dead where dead.id = retried.id and dead.event_id = retried.event_id)
               then 'dead'
           when $3::text <> '' and exists (
               select from outbox.receipts as receipt where receipt.broker <> $3::text and receipt.ids @> retried.id
           ) then 'elsewhere'
           when event.id is null or covered.ids @> retried.id then 'acknowledged'
           when exists (select from outbox.held_keys as held where held.key = event.key) then 'held'
           else 'waiting'
       end
from retried
cross join covered
left join outbox.events as event on event.id = retried.id and event.event_id = retried.event_id
order by retried.place
