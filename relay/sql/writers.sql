-- The transactions that may still commit an event whose id they have drawn, and their transaction
-- ids. nextval takes RowExclusiveLock on the sequence before it draws, and the top transaction
-- holds it to its end, prepared transactions included (virtualtransaction -1/...). A commit becomes
-- visible before its locks go, so a transaction that is missing here shows its rows to the next
-- statement; one that is listed may show them, too. The id is that of the top transaction, the
-- oldest of its lock entries; 0 if it has none yet, or none any more. pg_locks is read once; even
-- so it copies the fast-path locks before the others, so that a lock that moves from the ones to
-- the others meanwhile is listed twice, and a transaction that is being prepared under both names.
with lock as materialized (
    select locktype, virtualtransaction, transactionid
    from pg_catalog.pg_locks
    where locktype = 'transactionid' and mode = 'ExclusiveLock'
       or locktype = 'relation' and mode = 'RowExclusiveLock'
          and relation = 'outbox.events_id_seq'::regclass
          and database = (select oid from pg_catalog.pg_database where datname = current_database())
), owner as (
    select virtualtransaction,
           (array_agg(transactionid::text::bigint order by age(transactionid) desc))[1] as xid
    from lock
    where locktype = 'transactionid'
    group by virtualtransaction
)
select lock.virtualtransaction, coalesce(owner.xid, 0)
from lock
left join owner using (virtualtransaction)
where lock.locktype = 'relation'
