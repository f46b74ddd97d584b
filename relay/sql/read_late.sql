-- The events that have appeared in the gaps $4..$5 (their first and last ids, in order), up to $6 events and about $7 bytes.
select id, event_id, subject, coalesce(key, ''), headers, payload, created_at, coalesce(async_commit, false)
from (
    select *, sum(octet_length(payload)) over (order by id rows between unbounded preceding and 1 preceding) as bytes_before
    from (
        select event.*
        from unnest($4::bigint[], $5::bigint[]) as gap (first_id, last_id)
        cross join lateral (
            select id, event_id, subject, key, headers, payload, created_at, async_commit
            from outbox.events
            where id between gap.first_id and gap.last_id
            order by id
            limit $6
        ) as event
        where :unchanged
        order by event.id
        limit $6
    ) as page
) as measured
where coalesce(bytes_before, 0) < $7
order by id
