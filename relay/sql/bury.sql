-- Events that can never be published move to outbox.dead_letters, in one statement: never in both tables, never in none. If $8,
-- the later events of their keys wait until a person has dealt with them.
with doomed as (
    select *
    from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::timestamptz[])
        as d (id, event_id, reason, error, attempts, first_failed_at, last_failed_at)
), removed as (
    delete from outbox.events as event
    using doomed
    where event.id = any ($1::bigint[]) -- so that the planner does not read the whole table for the join
      and event.id = doomed.id
      and event.event_id = doomed.event_id
    returning event.*, doomed.reason, doomed.error, doomed.attempts, doomed.first_failed_at, doomed.last_failed_at
), held as (
    insert into outbox.held_keys (key, dead_id, event_id)
    select key, id, event_id from removed where $8::boolean and key is not null
    on conflict do nothing
)
insert into outbox.dead_letters
    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
select id, event_id, subject, key, headers, payload,
       case when isfinite(created_at) then created_at else clock_timestamp() end, reason, error, attempts, first_failed_at, last_failed_at
from removed
on conflict (id, event_id) do nothing
