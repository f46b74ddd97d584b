-- The dead letters that are meant, at most $11 of them: those that failed last first, or, if $12, by id.
with meant as (
    select null::bigint as id, null::uuid as event_id where false
)
select dead.id, dead.event_id, dead.subject, coalesce(dead.key, '') as key, dead.reason, dead.error, dead.attempts,
       dead.created_at, dead.first_failed_at, dead.last_failed_at, octet_length(dead.payload) as payload_bytes,
       exists (select from outbox.held_keys as held where held.key = dead.key) as held
from meant
join outbox.dead_letters as dead using (id, event_id)
order by case when not $12::boolean then dead.last_failed_at end desc, dead.id, dead.event_id
limit $11
