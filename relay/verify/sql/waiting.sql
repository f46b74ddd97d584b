-- How many rows there are among the ids $1..$2 (their first and last, in order), and how many of them no receipt covers.
with wanted as (
    select range_agg(int8range(first_id, last_id, '[]')) as ids from unnest($1::bigint[], $2::bigint[]) as s (first_id, last_id)
), covered as materialized (
    select range_agg(part) as ids
    from outbox.receipts as receipt, wanted
    cross join lateral unnest(receipt.ids * wanted.ids) as part
    where receipt.ids && wanted.ids
)
select count(*), count(*) filter (where not coalesce(covered.ids @> event.id, false))
from covered, unnest($1::bigint[], $2::bigint[]) as span (first_id, last_id)
cross join lateral (select id from outbox.events where id between span.first_id and span.last_id) as event
