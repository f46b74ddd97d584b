-- Who leads.
select owner, term, ttl, acquired_at, expires_at, owner <> '' and expires_at > clock_timestamp(), clock_timestamp(), pg_backend_pid()
from outbox.lease
