-- The safety net: events in the ranges of ids $1..$2 (their first and last ids, in order), at most $3 of them.
select event.id, coalesce(event.key, '')
from unnest($1::bigint[], $2::bigint[]) as span (first_id, last_id)
cross join lateral (
    select id, key from outbox.events where id between span.first_id and span.last_id order by id limit $3
) as event
order by event.id
limit $3
