-- Holds for the statements of its transaction, which is sent with it in one go, and fails unless the server that answers is the one
-- that started at $1 and the lease is that of term $2; null for any. Behind a pooler or a changed address another server
-- may answer although no connection broke. It fails too unless each statement has a snapshot of its own and may write, which cannot be
-- changed by then; check_session.sql says how.
-- The planner is kept on the primary key: its statistics of an outbox are out of date by nature, and a plan that fits an empty table
-- reads all of one that has grown to millions of rows since. Where only a sequential scan is possible the planner now thinks it very
-- expensive, and would compile the plan for most of a second: hence no jit. A batch of rows is measured in memory, not in a file: by the
-- defaults those are 16,384 of up to 2 kB, for larger values lie elsewhere. The rest is as in session.sql.
select 1 / (coalesce(pg_postmaster_start_time() = $1::timestamptz, true)
            and current_setting('transaction_isolation') = 'read committed'
            and current_setting('transaction_read_only') = 'off'
            and ($2::bigint is null or exists (select from outbox.lease where term = $2::bigint)))::int,
       pg_postmaster_start_time(),
       array[set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
             set_config('enable_indexscan', 'on', true), set_config('enable_indexonlyscan', 'on', true),
             set_config('work_mem', '32MB', true),
             set_config('search_path', 'pg_catalog', true), set_config('bytea_output', 'hex', true),
             set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
             set_config('idle_in_transaction_session_timeout', '0', true),
             case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', true) end]
