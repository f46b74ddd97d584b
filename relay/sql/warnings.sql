-- What is no reason to stop, but what an operator should know of the table.
select format('outbox.events has a trigger that is not ours, %I: it runs in every business transaction, and one that changes or '
              'drops rows changes or drops events; if it is not needed, run: drop trigger %I on outbox.events', tgname, tgname)
from pg_catalog.pg_trigger
where tgrelid = 'outbox.events'::regclass and not tgisinternal and tgenabled <> 'D'
  and tgfoid is distinct from to_regproc('outbox.ring') and tgfoid is distinct from to_regproc('outbox.confine')
union all
select 'outbox.events is unlogged: a crash of Postgres empties it; run: alter table outbox.events set logged'
from pg_catalog.pg_class
where oid = 'outbox.events'::regclass and relpersistence = 'u'
union all
select 'roles are confined to subjects, but trigger confine on outbox.events is missing or disabled, so they may write '
       'any; run outbox.grant_writer(role, subjects) for one of outbox.confined_writers'
from pg_catalog.pg_type as confined
where confined.oid = to_regtype('outbox.confined')
  and exists (select from aclexplode(confined.typacl) as given where given.grantee <> confined.typowner)
  and not exists (select from pg_catalog.pg_trigger
                  where tgrelid = 'outbox.events'::regclass and tgfoid = to_regproc('outbox.confine')
                    and tgenabled in ('O', 'A'))
