-- The transactions that may still commit an event although they do not notify, for they wrote it
-- while the relay was awake: those that hold the sequence, see writers.sql, or of them the ones in
-- $1, if that is not null. The oldest comes first.
select lock.virtualtransaction, coalesce(lock.pid, 0), coalesce(session.usename::text, ''), coalesce(session.application_name, '')
from pg_catalog.pg_locks as lock
left join pg_catalog.pg_stat_activity as session on session.pid = lock.pid
where lock.locktype = 'relation' and lock.mode = 'RowExclusiveLock' and lock.relation = 'outbox.events_id_seq'::regclass
  and lock.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and ($1::text[] is null or lock.virtualtransaction = any ($1::text[]))
order by session.xact_start
