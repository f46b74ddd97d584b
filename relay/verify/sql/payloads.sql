-- The payloads' digests of the rows $1 with the event ids $2. What was purged meanwhile is left out.
select event.id, event.event_id, sha256(event.payload)
from unnest($1::bigint[], $2::uuid[]) as wanted (id, event_id)
join outbox.events as event on event.id = wanted.id and event.event_id = wanted.event_id
