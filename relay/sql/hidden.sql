-- Which tables that the relay may read have row security that applies to its role, so that rows may
-- be hidden or refused. The tables are named, for pg_class has no index on the schema alone.
select coalesce(array_agg(relname::text order by relname), '{}') as tables, current_user::text as role
from pg_catalog.pg_class
where relnamespace = 'outbox'::regnamespace
  and relname in ('control', 'dead_letter_log', 'dead_letters', 'events', 'held_keys', 'lease', 'positions', 'receipts',
                  'rehomes', 'replays', 'schema_version', 'sharing')
  and has_table_privilege(oid, 'select') and row_security_active(oid)
