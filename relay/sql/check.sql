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
       receipts.oid is null or has_table_privilege(receipts.oid, 'select')
            and has_table_privilege(receipts.oid, 'insert')
            and has_table_privilege(receipts.oid, 'update')
            and has_table_privilege(receipts.oid, 'delete')
            and has_table_privilege(positions.oid, 'select')
            and has_table_privilege(positions.oid, 'insert')
            and has_table_privilege(positions.oid, 'delete')
            and (rehomes.oid is null or has_table_privilege(rehomes.oid, 'select')
                and has_table_privilege(rehomes.oid, 'insert')
                and has_table_privilege(rehomes.oid, 'delete'))
            and has_table_privilege(control.oid, 'select')                        as may_write_receipts,
       held_keys.oid is null or has_table_privilege(held_keys.oid, 'select')
            and has_table_privilege(held_keys.oid, 'insert')                      as may_hold_keys,
       lease.oid is null or has_table_privilege(lease.oid, 'select')
            and has_any_column_privilege(lease.oid, 'update')
            and (sharing.oid is null or has_table_privilege(sharing.oid, 'select')
                and has_any_column_privilege(sharing.oid, 'update'))              as may_lead,
       exists (select from pg_catalog.pg_index as i
               join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
               where i.indrelid = events.oid and a.attname = 'id' and i.indnkeyatts = 1
                 and i.indisunique and i.indisvalid and i.indpred is null)        as has_index,
       (select t.tgname from pg_catalog.pg_trigger as t
        where t.tgrelid = events.oid and not t.tgisinternal and t.tgenabled <> 'D'
          and t.tgtype & (1 | 2 | 8) = (1 | 2 | 8) limit 1)                       as delete_trigger,
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
left join pg_catalog.pg_class     as receipts     on receipts.relnamespace = ns.oid     and receipts.relname = 'receipts'
left join pg_catalog.pg_class     as positions    on positions.relnamespace = ns.oid    and positions.relname = 'positions'
left join pg_catalog.pg_class     as rehomes      on rehomes.relnamespace = ns.oid      and rehomes.relname = 'rehomes'
left join pg_catalog.pg_class     as control      on control.relnamespace = ns.oid      and control.relname = 'control'
left join pg_catalog.pg_class     as held_keys    on held_keys.relnamespace = ns.oid    and held_keys.relname = 'held_keys'
left join pg_catalog.pg_class     as lease        on lease.relnamespace = ns.oid        and lease.relname = 'lease'
left join pg_catalog.pg_class     as sharing      on sharing.relnamespace = ns.oid      and sharing.relname = 'sharing'
