-- Ends the sessions that hold lock $1 for themselves, but for process $2: relays that led before and hang. While one of them holds it
-- every commit notifies, and nobody hears it. Only sessions of this role, for others are not a relay's to end.
select count(pg_terminate_backend(lock.pid))
from pg_catalog.pg_locks as lock
join pg_catalog.pg_stat_activity as session on session.pid = lock.pid
where lock.locktype = 'advisory'
  and lock.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and lock.classid = ($1::bigint >> 32)::oid and lock.objid = ($1::bigint & 4294967295)::oid and lock.objsubid = 1
  and lock.mode = 'ExclusiveLock' and lock.granted
  and lock.pid <> $2::bigint and session.usename = current_user
