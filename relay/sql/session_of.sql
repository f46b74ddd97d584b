-- Whose session process $1 of the server is; no row if it has ended.
select coalesce(usename::text, ''), coalesce(application_name, '') from pg_catalog.pg_stat_activity where pid = $1::int
