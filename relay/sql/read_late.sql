-- The events that have appeared in the gaps $4..$5 (their first and last ids, in order), up to $6
-- events and about $7 bytes, measured as in read_measured.sql.
select id, event_id, subject, coalesce(key, ''),
       case when coalesce(before, 0) < $7 then headers end, case when coalesce(before, 0) < $7 then payload end,
       created_at, coalesce(async_commit, false)
from (
    select *, sum(size) over (order by id rows between unbounded preceding and 1 preceding) as before,
           sum(size) over (order by id rows between unbounded preceding and 2 preceding) as before_last
    from (
        select event.*, octet_length(payload) + coalesce(6 * octet_length(headers::text), 0) as size
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
where coalesce(before_last, 0) < $7
order by id
