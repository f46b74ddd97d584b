-- The event_ids of the rows among the ids $1..$2 (their first and last, in order).
select event.event_id
from unnest($1::bigint[], $2::bigint[]) as span (first_id, last_id)
cross join lateral (select event_id from outbox.events where id between span.first_id and span.last_id) as event
