-- Relay $1 gives the lease of term $2 to relay $3, which has $4 to take it before it is anybody's, and wakes those that wait for it.
with given as (
    update outbox.lease
    set owner = $3::text, ttl = $4::interval, acquired_at = clock_timestamp(), expires_at = clock_timestamp() + $4::interval
    where owner = $1::text and term = $2::bigint
    returning term
)
select pg_notify('outbox_lease', term::text) from given
