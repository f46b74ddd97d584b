-- The events behind the head, in order, up to $2 events and about $3 bytes; the first event always fits. Measuring takes three times as
-- long as reading, where payloads are small: read_new.sql does without. octet_length reads a toasted payload's length without fetching it,
-- so a batch that is cut costs no payloads.
select id, event_id, subject, coalesce(key, ''), headers, payload, created_at, coalesce(async_commit, false)
from (
    select *, sum(octet_length(payload)) over (order by id rows between unbounded preceding and 1 preceding) as bytes_before
    from (
        select id, event_id, subject, key, headers, payload, created_at, async_commit
        from outbox.events
        where id > $1
        order by id
        limit $2
    ) as page
) as measured
where coalesce(bytes_before, 0) < $3
order by id
