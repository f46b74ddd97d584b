-- Holds for the statements of its transaction, which is sent with it in one go, and fails unless the server that answers is the one
-- that started at $1 and the lease is that of term $2; null for any. Behind a pooler or a changed address another server
-- may answer although no connection broke. It fails too unless each statement has a snapshot of its own and may write, which cannot be
-- changed by then; check_session.sql says how.
-- The planner is kept on the primary key: its statistics of an outbox are out of date by nature, and a plan that fits an empty table
-- reads all of one that has grown to millions of rows since. Where only a sequential scan is possible the planner now thinks it very
-- expensive, and would compile the plan for most of a second: hence no jit. A batch of rows is measured in memory, not in a file: by the
-- defaults those are 16,384 of up to 2 kB, for larger values lie elsewhere. The rest is as in session.sql.
-- Here each name has its schema, for the search path is set by this statement.
select 1 operator(pg_catalog./) (
           coalesce(pg_catalog.pg_postmaster_start_time() operator(pg_catalog.=) $1::pg_catalog.timestamptz, true)
           and pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed'
           and pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'off'
           and ($2::pg_catalog.int8 is null
                or exists (select from outbox.lease where term operator(pg_catalog.=) $2::pg_catalog.int8)))::pg_catalog.int4,
       pg_catalog.pg_postmaster_start_time(),
       array(
           select pg_catalog.set_config(name, value, true)
           from (values
               ('search_path', 'pg_catalog, pg_temp'), ('row_security', 'off'),
               ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('jit', 'off'),
               ('enable_indexscan', 'on'), ('enable_indexonlyscan', 'on'), ('work_mem', '32MB'), ('max_parallel_workers_per_gather', '0'),
               ('bytea_output', 'hex'),
               ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
               ('transaction_timeout', '0')
           ) as wanted (name, value)
           where pg_catalog.current_setting(name, true) is not null -- transaction_timeout is missing before Postgres 17
       )
