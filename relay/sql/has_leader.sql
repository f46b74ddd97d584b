-- Whether a session of this database holds the advisory lock $1 of the leading relay.
select exists (
    select
    from pg_catalog.pg_locks as held
    join pg_catalog.pg_database as here on here.oid = held.database
    where here.datname = current_database()
      and held.locktype = 'advisory'
      and held.objsubid = 1
      and (held.classid::bigint << 32 | held.objid::bigint) = $1::bigint
      and held.granted
)
