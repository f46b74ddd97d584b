-- The events after the head, $2, in order, up to $4 events and about $5 bytes; the first event always fits. Measuring takes three times as
-- long as reading, where payloads are small: read_new.sql does without. octet_length reads a toasted payload's length without fetching it,
-- so a batch that is cut costs no payloads.
select id, event_id, subject, coalesce(key, ''), headers, payload, created_at, coalesce(async_commit, false)
from (
    select *, sum(octet_length(payload)) over (order by id rows between unbounded preceding and 1 preceding) as bytes_before
    from (
        select id, event_id, subject, key, headers, payload, created_at, async_commit
        from outbox.events
        where id > $2 and :unchanged
        order by id
        limit $4
    ) as page
) as measured
where coalesce(bytes_before, 0) < $5
order by id
