-- Which of the events with the ids $2 and the event_ids $3 receipts of another generation than $1 name: rows that were acknowledged, removed and put back.
with found as (
    select * from unnest($2::bigint[], $3::uuid[]) as f (id, event_id)
), hull as (
    select range_agg(int8range(id, id, '[]')) as ids from found
)
select distinct found.id
from hull
join outbox.receipts as receipt on receipt.generation <> $1::bigint and receipt.ids && hull.ids
cross join lateral outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
join found on found.id = pair.id and found.event_id = pair.event_id
order by found.id
