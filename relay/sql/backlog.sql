-- How much waits: the rows from id $1 on, counted up to $2 of them and beyond that bounded by the
-- distance of ids, and $3, the least id that waits before $1, for its age. Ids above the highest
-- that a row may have are those of bury_unreachable.sql. Never a count(*) of the table, which takes
-- minutes just when it matters.
with counted as (
    select count(*) as events, max(id) as last_id
    from (select id from outbox.events where id >= $1::bigint and id <= 4611686018427387903 order by id limit $2) as first_events
), oldest as (
    (select created_at from outbox.events where id = $3::bigint)
    union all
    (select created_at from outbox.events where id >= $1::bigint and id <= 4611686018427387903 order by id limit 1)
)
select counted.events,
       coalesce(greatest(seq.last_value - counted.last_id, 0), 0) as ids_beyond,
       coalesce(greatest(extract(epoch from clock_timestamp() - (
           select min(created_at) filter (where isfinite(created_at)) from oldest)), 0), 0)::float8 as lag_seconds,
       (select count(*) from (select 1 from outbox.dead_letters limit $2) as buried) as dead_letters,
       (select coalesce(max(epoch), 0) from outbox.control) as epoch,
       seq.last_value as last_id_drawn,
       clock_timestamp() as database_time
from counted, outbox.events_id_seq as seq
