-- The events with the ids $4, in order, up to about $5 bytes; the first event always fits.
select id, event_id, subject, coalesce(key, ''), headers, payload, created_at, coalesce(async_commit, false)
from (
    select id, event_id, subject, key, headers, payload, created_at, async_commit,
           sum(octet_length(payload)) over (order by id rows between unbounded preceding and 1 preceding) as bytes_before
    from outbox.events
    where id = any ($4::bigint[]) and :unchanged
) as measured
where coalesce(bytes_before, 0) < $5
order by id
