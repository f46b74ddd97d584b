-- The events after the head, $2, in order, up to $4 events and about $5 bytes; the first event
-- always fits. Where the bytes end the page one more row comes, without a payload. Many small
-- headers take six times their text in memory. Measuring takes three times as long as reading,
-- where payloads are small: read_new.sql does without. octet_length reads a toasted payload's
-- length without fetching it, so a batch that is cut costs no payloads.
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
        where id > $2 and id <= 4611686018427387903 and :unchanged
        order by id
        limit $4
    ) as page
) as measured
where coalesce(before_last, 0) < $5
order by id
