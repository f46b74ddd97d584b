-- The events behind the head, in order, up to $2. A payload of more than $3 bytes is left out, so that all of them have a bound in bytes:
-- the page ends there, and read_measured.sql goes on. octet_length reads a toasted payload's length without fetching it.
select id, event_id, subject, coalesce(key, ''), headers, case when octet_length(payload) <= $3 then payload end, created_at,
       coalesce(async_commit, false)
from outbox.events
where id > $1
order by id
limit $2
