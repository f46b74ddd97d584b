-- Those of the events with the ids $1 and the event_ids $2 that are in the table. An id alone does not name an event: a standby that was
-- promoted after losing its last transactions hands out the same ids again.
select distinct event.id, event.event_id
from unnest($1::bigint[], $2::uuid[]) as found (id, event_id)
join outbox.events as event on event.id = any ($1::bigint[]) and event.id = found.id and event.event_id = found.event_id
order by event.id
