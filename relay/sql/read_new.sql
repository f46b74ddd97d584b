-- The events after the head, $2, in order, up to $4. A payload of more than $5 bytes is left out, so that all of them have a bound in bytes:
-- the page ends there, and read_measured.sql goes on. octet_length reads a toasted payload's length without fetching it.
select id, event_id, subject, coalesce(key, ''), headers, case when octet_length(payload) <= $5 then payload end, created_at,
       coalesce(async_commit, false)
from outbox.events
where id > $2 and id <= 4611686018427387903 and :unchanged
order by id
limit $4
