-- The ids $2..$3 (their first and last, in order) of receipt $1, which is locked, are events to publish again. A receipt that covers
-- nothing any more goes.
with lost as (
    select range_agg(int8range(first_id, last_id, '[]')) as ids from unnest($2::bigint[], $3::bigint[]) as s (first_id, last_id)
), covered as (
    select receipt.id, count(event.id)::int as events
    from outbox.receipts as receipt, lost
    cross join lateral unnest(receipt.ids * lost.ids) as span
    join outbox.events as event on event.id between lower(span) and upper(span) - 1
    where receipt.id = $1::bigint
    group by receipt.id
), emptied as (
    delete from outbox.receipts as receipt
    using lost
    where receipt.id = $1::bigint and receipt.ids <@ lost.ids
), reduced as (
    update outbox.receipts as receipt
    set ids = receipt.ids - lost.ids, events = receipt.events - covered.events,
        event_ids = case when receipt.event_ids is not null then array(
            select pair.event_id from outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
            where not lost.ids @> pair.id order by pair.id) end
    from lost, covered
    where receipt.id = covered.id and not receipt.ids <@ lost.ids
)
select coalesce((select events from covered), 0)::bigint
