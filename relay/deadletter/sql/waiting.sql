-- How many events of key $1 wait to be published, among the first $2 that wait. It looks only between the ids that receipts
-- cover, for there is no index on the key, and what is retained can be many times what waits.
with covered as (
    select coalesce(range_agg(span), '{}'::int8multirange) as ids from outbox.receipts, unnest(ids) as span
), waiting as (
    select event.key
    from covered, unnest('{(,)}'::int8multirange - covered.ids) as gap
    cross join lateral (
        select key from outbox.events
        where id >= coalesce(lower(gap), -9223372036854775808) and id <= coalesce(upper(gap) - 1, 9223372036854775807)
    ) as event
    limit $2
)
select count(*) filter (where key = $1) as events, count(*) < $2 as exact from waiting
