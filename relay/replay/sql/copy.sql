-- One step of replay $8: of its next $9 rows, those that are selected and published, up to $10 of them and about $11 bytes, are
-- written again as new events at the end of the table, and the place that the replay has reached is noted. All of that or nothing:
-- an event is copied once, whenever the replay is interrupted. A copy keeps the time at which its original was written.
with replay as (
    select id, new_ids, last_id, end_id from outbox.replays where id = $8::bigint and finished_at is null for update
), page as materialized (
    select coalesce(min(row.id), replay.end_id) as first_id,
           case when count(row.id) < $9::bigint then replay.end_id else max(row.id) end as last_id,
           count(row.id) as rows
    from replay
    left join lateral (
        select event.id
        from outbox.events as event
        where event.id > replay.last_id and event.id <= replay.end_id
        order by event.id
        limit $9
    ) as row on true
    group by replay.end_id
), covered as materialized (
    select range_agg(span) as ids
    from page
    join outbox.receipts as receipt on receipt.ids && int8range(page.first_id, page.last_id, '[]')
    cross join lateral unnest(receipt.ids * int8multirange(int8range(page.first_id, page.last_id, '[]'))) as span
), measured as materialized (
    select event.id,
           row_number() over (order by event.id) as number,
           sum(octet_length(event.payload)) over (order by event.id rows between unbounded preceding and 1 preceding) as bytes_before
    from page
    cross join covered
    cross join lateral (
        select id, payload from outbox.events where id between page.first_id and page.last_id and :selection
    ) as event
    where page.rows > 0 and covered.ids @> event.id
), picked as (
    select id from measured where number <= $10::bigint and coalesce(bytes_before, 0) < $11::bigint
), copied as (
    insert into outbox.events (event_id, subject, key, headers, payload, created_at)
    select case when replay.new_ids then gen_random_uuid() else event.event_id end,
           event.subject, event.key, event.headers, event.payload, event.created_at
    from replay
    cross join picked
    join outbox.events as event on event.id = picked.id
    order by event.id
), reached as (
    -- Where a limit has cut the page, to the last event that fits; else to the end of the page.
    select case when (select count(*) from picked) < (select count(*) from measured)
                then (select max(id) from picked) else page.last_id end as last_id,
           (select count(*) from picked) as events
    from page
)
update outbox.replays as stored
set last_id = reached.last_id,
    events = stored.events + reached.events,
    finished_at = case when reached.last_id >= stored.end_id then clock_timestamp() end
from replay, reached
where stored.id = replay.id
returning reached.events, stored.id, stored.started_at, stored.actor, stored.selection, stored.new_ids, stored.last_id, stored.end_id,
          stored.events, stored.finished_at
