-- Holds for the statements of its transaction, which is sent with it in one go, and fails unless the server that answers is the one
-- that started at $1 and the lease is that of term $2; null for any. Behind a pooler or a changed address another server
-- may answer although no connection broke.
-- The planner is kept on the primary key: its statistics of an outbox are out of date by nature, and a plan that fits an empty table
-- reads all of one that has grown to millions of rows since. Where only a sequential scan is possible the planner now thinks it very
-- expensive, and would compile the plan for most of a second: hence no jit.
select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
       1 / (coalesce(pg_postmaster_start_time() = $1::timestamptz, true)
            and ($2::bigint is null or exists (select from outbox.lease where term = $2::bigint)))::int,
       pg_postmaster_start_time()
