-- Whether the role may do what a person does with the outbox by hand: write events again, keep the trail of that, and tell the
-- relay to read everything again. What is missing gives false, not an error.
select coalesce(has_table_privilege(events.oid, 'insert')
            and has_table_privilege(receipts.oid, 'update')
            and has_table_privilege(control.oid, 'update')
            and has_table_privilege(replays.oid, 'select')
            and has_table_privilege(replays.oid, 'insert')
            and has_table_privilege(replays.oid, 'update')
            and has_table_privilege(log.oid, 'insert'), false) as may_operate,
       current_user::text as role,
       quote_literal(quote_ident(current_user)) as quoted_role
from (select 1) as one
left join pg_catalog.pg_namespace as ns       on ns.nspname = 'outbox'
left join pg_catalog.pg_class     as events   on events.relnamespace = ns.oid   and events.relname = 'events'
left join pg_catalog.pg_class     as receipts on receipts.relnamespace = ns.oid and receipts.relname = 'receipts'
left join pg_catalog.pg_class     as control  on control.relnamespace = ns.oid  and control.relname = 'control'
left join pg_catalog.pg_class     as replays  on replays.relnamespace = ns.oid  and replays.relname = 'replays'
left join pg_catalog.pg_class     as log      on log.relnamespace = ns.oid      and log.relname = 'dead_letter_log'
