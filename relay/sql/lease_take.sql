-- The lease goes to relay $1 for $2 if it is free, if it has expired, if that relay has it already, or if it is still the lease of term
-- $3 that expires at $4: the relay has seen that one stand unrenewed for as long as it grants, by its own clock, so that a clock
-- of the database that was put back keeps nobody out. Either way the row says who leads now. The last column is the process
-- that answers: behind a pooler it is not the one that the connection names.
with taken as (
    update outbox.lease
    set owner = $1::text, term = term + 1, ttl = $2::interval,
        acquired_at = clock_timestamp(), expires_at = clock_timestamp() + $2::interval
    where owner in ('', $1::text)
       or expires_at <= clock_timestamp()
       or term = $3::bigint and expires_at = $4::timestamptz
    returning owner, term, ttl, acquired_at, expires_at
), now as (
    select * from taken
    union all
    select owner, term, ttl, acquired_at, expires_at from outbox.lease where not exists (select from taken)
)
select owner, term, ttl, acquired_at, expires_at, exists (select from taken), clock_timestamp(), pg_backend_pid() from now
