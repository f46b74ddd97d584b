-- Events whose ids are above the highest that a row may have, up to $1 of them, move to
-- outbox.dead_letters with the reason $2 and the error $3, as in bury.sql. No sequence draws such
-- ids; no other statement looks at them, for those at the end of bigint have no successor, and one
-- of them would seem to be the last that was drawn.
with doomed as (
    select id from outbox.events where id > 4611686018427387903 order by id limit $1
), removed as (
    delete from outbox.events as event using doomed where event.id = doomed.id and event.id > 4611686018427387903 returning event.*
), held as (
    insert into outbox.held_keys (key, dead_id, event_id)
    select key, id, event_id from removed where $4::boolean and key is not null
    on conflict do nothing
), buried as (
    insert into outbox.dead_letters
        (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
    select id, event_id, subject, key, headers, payload, case when isfinite(created_at) then created_at else clock_timestamp() end,
           $2::text, $3::text, 0, clock_timestamp(), clock_timestamp()
    from removed
    on conflict (id, event_id) do nothing
)
select id, event_id from removed order by id
