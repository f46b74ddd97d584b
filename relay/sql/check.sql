-- What a relay needs of the schema, the rights and the sequence, in one row. The catalogue is asked by oid, for a
-- name cannot even be looked up without the right to use its schema. What is missing gives false, not an error.
select ns.oid is not null and has_schema_privilege(ns.oid, 'usage')               as may_use_schema,
       events.oid is not null                                                     as has_events,
       version.oid is not null                                                    as has_version,
       coalesce(has_table_privilege(events.oid, 'select')
            and has_table_privilege(events.oid, 'delete'), false)                 as may_read_events,
       coalesce(has_table_privilege(dead_letters.oid, 'select')
            and has_table_privilege(dead_letters.oid, 'insert'), false)           as may_bury_events,
       coalesce(has_table_privilege(version.oid, 'select'), false)                as may_read_version,
       coalesce(has_sequence_privilege(sequence.oid, 'select'), false)            as may_read_sequence,
       coalesce((select seqcache from pg_catalog.pg_sequence where seqrelid = sequence.oid), 1) as sequence_cache,
       current_user::text       as role,
       current_database()::text as database,
       pg_is_in_recovery()      as is_standby
from (select 1) as one
left join pg_catalog.pg_namespace as ns           on ns.nspname = 'outbox'
left join pg_catalog.pg_class     as events       on events.relnamespace = ns.oid       and events.relname = 'events'
left join pg_catalog.pg_class     as dead_letters on dead_letters.relnamespace = ns.oid and dead_letters.relname = 'dead_letters'
left join pg_catalog.pg_class     as version      on version.relnamespace = ns.oid      and version.relname = 'schema_version'
left join pg_catalog.pg_class     as sequence     on sequence.relnamespace = ns.oid     and sequence.relname = 'events_id_seq'
