-- Our statements find every name in pg_catalog, whatever else may be in the search path. pg_temp
-- comes last, for it is searched first unless it is named. It holds for the transaction alone:
-- behind a pooler the session is everybody's. A role's idle time-out may be shorter than the time
-- between two statements of one transaction. The workers of a parallel plan are for the service. A
-- table whose row security applies to the role fails a statement rather than hide rows from it.
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
       pg_catalog.set_config('max_parallel_workers_per_gather', '0', true),
       pg_catalog.set_config('row_security', 'off', true)
