-- What is no reason to stop, but what an operator should know of the table.
select format('outbox.events has a trigger that is not ours, %I: it runs in every business transaction, and one that changes or '
              'drops rows changes or drops events; if it is not needed, run: drop trigger %I on outbox.events', tgname, tgname)
from pg_catalog.pg_trigger
where tgrelid = 'outbox.events'::regclass and not tgisinternal and tgenabled <> 'D'
  and tgfoid is distinct from to_regproc('outbox.ring')
union all
select 'outbox.events is unlogged: a crash of Postgres empties it; run: alter table outbox.events set logged'
from pg_catalog.pg_class
where oid = 'outbox.events'::regclass and relpersistence = 'u'
