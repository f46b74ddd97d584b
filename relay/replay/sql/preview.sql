-- What a replay of the selected events behind id $8 and up to id $9 would publish: the events that a receipt covers, by subject, the
-- commonest $11 subjects first. The last column counts those that were settled within $10, which the stream may still recognise.
with wanted as (
    select int8range($8::bigint + 1, nullif($9::bigint, 9223372036854775807) + 1) as ids
), picked as (
    select event.subject, event.created_at, receipt.settled_at > clock_timestamp() - $10::interval as recent
    from wanted
    join outbox.receipts as receipt on receipt.ids && wanted.ids
    cross join lateral unnest(receipt.ids * int8multirange(wanted.ids)) as span
    cross join lateral (
        select subject, created_at from outbox.events where id between lower(span) and upper(span) - 1 and :selection
    ) as event
), counted as materialized (
    select subject, count(*) as events, min(created_at) as first, max(created_at) as last, count(*) filter (where recent) as recent
    from picked
    group by subject
), total as (
    select count(*) as subjects, sum(events)::bigint as events, min(first) as first, max(last) as last, sum(recent)::bigint as recent
    from counted
)
select counted.subject, counted.events, total.subjects, total.events, total.first, total.last, total.recent
from counted, total
order by counted.events desc, counted.subject
limit $11
