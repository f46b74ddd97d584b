-- The events with the ids $1, in order, up to about $2 bytes; the first event always fits.
select id, event_id, subject, coalesce(key, ''), headers, payload, created_at, coalesce(async_commit, false)
from (
    select id, event_id, subject, key, headers, payload, created_at, async_commit,
           sum(octet_length(payload)) over (order by id rows between unbounded preceding and 1 preceding) as bytes_before
    from outbox.events
    where id = any ($1::bigint[])
) as measured
where coalesce(bytes_before, 0) < $2
order by id
