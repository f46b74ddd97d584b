-- Relay $1 gives the lease of term $2 back, or of any term for 0, and wakes those that wait for it.
with freed as (
    update outbox.lease
    set owner = '', acquired_at = clock_timestamp(), expires_at = clock_timestamp()
    where owner = $1::text and (term = $2::bigint or $2::bigint = 0)
    returning term
)
select pg_notify('outbox_lease', term::text) from freed
