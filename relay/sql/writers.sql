-- The transactions that may still commit an event whose id they have drawn: nextval takes RowExclusiveLock on the sequence before
-- it draws, and the top transaction holds it to its end, prepared transactions included (virtualtransaction -1/...).
-- A commit becomes visible before its locks go, so a transaction that is missing here shows its rows to the next statement.
select virtualtransaction
from pg_catalog.pg_locks
where locktype = 'relation'
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
  and relation = 'outbox.events_id_seq'::regclass
  and mode = 'RowExclusiveLock'
