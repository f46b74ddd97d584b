-- The events with the ids $4, in order, up to about $5 bytes, measured as in read_measured.sql.
select id, event_id, subject, coalesce(key, ''),
       case when coalesce(before, 0) < $5 then headers end, case when coalesce(before, 0) < $5 then payload end,
       created_at, coalesce(async_commit, false)
from (
    select *, sum(size) over (order by id rows between unbounded preceding and 1 preceding) as before,
           sum(size) over (order by id rows between unbounded preceding and 2 preceding) as before_last
    from (
        select id, event_id, subject, key, headers, payload, created_at, async_commit,
               octet_length(payload) + coalesce(6 * octet_length(headers::text), 0) as size
        from outbox.events
        where id = any ($4::bigint[]) and :unchanged
    ) as waiting
) as measured
where coalesce(before_last, 0) < $5
order by id
