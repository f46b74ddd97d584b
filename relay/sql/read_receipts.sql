-- The ids that receipts cover, as ranges with both ends included, each receipt's in order. Receipts of another generation than $1 cover the rows that
-- are the acknowledged ones, for their ids may have been drawn again. Null is that of an older relay.
select lower(span), upper(span) - 1
from outbox.receipts, unnest(ids) as span
where generation = $1::bigint or generation is null
union all
select event.id, event.id
from outbox.receipts as receipt
cross join lateral outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
cross join lateral (
    select id from outbox.events where id = pair.id and event_id = pair.event_id limit 1
) as event
where receipt.generation <> $1::bigint
