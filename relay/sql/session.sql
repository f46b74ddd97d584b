-- Sets what the relay relies on for a session of its own: process $1, which the connection names, is the one that answers. Behind a
-- pooler another process answers, whose session is everybody's. Nothing is set there, and settings.sql goes with each transaction.
-- A role, a database or a connection string may set any of these otherwise.
select pg_catalog.set_config(name, value, false)
from (values
    -- Every name in our statements is found in pg_catalog or has its schema, see pin.sql.
    ('search_path', 'pg_catalog, pg_temp'),
    -- A table whose row security applies to the role fails a statement rather than hide rows from it.
    ('row_security', 'off'),
    -- Text and the formats of values.
    ('standard_conforming_strings', 'on'),
    ('bytea_output', 'hex'),
    ('IntervalStyle', 'postgres'),
    -- Each statement has a snapshot of its own, and may write.
    ('default_transaction_isolation', 'read committed'),
    ('default_transaction_read_only', 'off'),
    ('default_transaction_deferrable', 'off'),
    -- The relay bounds its statements itself, and a session that sleeps is no mistake.
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    -- The planner, see settings.sql.
    ('enable_indexscan', 'on'),
    ('enable_indexonlyscan', 'on'),
    ('enable_seqscan', 'off'),
    ('enable_bitmapscan', 'off'),
    ('jit', 'off'),
    ('work_mem', '32MB'),
    -- Workers are for the service, and theirs of a container have little shared memory to sort in.
    ('max_parallel_workers_per_gather', '0'),
    -- The server ends the session within half a minute after the relay's host has gone silent. By the defaults of the system that takes
    -- hours.
    ('tcp_keepalives_idle', '10'),
    ('tcp_keepalives_interval', '5'),
    ('tcp_keepalives_count', '3'),
    ('tcp_user_timeout', '25000')
) as wanted (name, value)
where pg_catalog.int8(pg_catalog.pg_backend_pid()) operator(pg_catalog.=) $1::pg_catalog.int8
  and pg_catalog.current_setting(name, true) is not null -- transaction_timeout is missing before Postgres 17
