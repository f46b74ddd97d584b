-- Acknowledged events leave the table. An id alone does not name an event: a standby that was promoted after losing its last
-- transactions hands out the same ids again, so the row must carry the acknowledged event_id too.
delete from outbox.events as event
using unnest($1::bigint[], $2::uuid[]) as stored (id, event_id)
where event.id = stored.id
  and event.event_id = stored.event_id
