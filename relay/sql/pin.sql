-- Our statements find every name in pg_catalog, whatever else may be in the search path. pg_temp comes last, for it is searched first
-- unless it is named. It holds for the transaction alone: behind a pooler the session is everybody's.
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)
