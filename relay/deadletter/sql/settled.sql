-- What has become of the events with the ids $1 and event_ids $2, in their order. $3 is the broker that they are meant for, empty for
-- any.
with retried as (
    select * from unnest($1::bigint[], $2::uuid[]) with ordinality as r (id, event_id, place)
), covered as materialized (
    select receipt.broker, pair.id, pair.event_id
    from outbox.receipts as receipt
    join (select range_agg(int8range(id, id, '[]')) as ids from retried) as hull on receipt.ids && hull.ids
    cross join lateral outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
    where hull.ids @> pair.id
)
select case
           when exists (select from outbox.dead_letters as dead where dead.id = retried.id and dead.event_id = retried.event_id)
               then 'dead'
           when $3::text <> '' and exists (
               select from covered
               where covered.broker <> $3::text and covered.id = retried.id
                 and coalesce(covered.event_id, retried.event_id) = retried.event_id
           ) then 'elsewhere'
           when event.id is null or exists (
               select from covered
               where covered.id = retried.id and coalesce(covered.event_id, retried.event_id) = retried.event_id
           ) then 'acknowledged'
           when exists (select from outbox.held_keys as held where held.key = event.key) then 'held'
           else 'waiting'
       end
from retried
left join outbox.events as event on event.id = retried.id and event.event_id = retried.event_id
order by retried.place
