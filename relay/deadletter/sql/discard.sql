-- The dead letters with the ids $1 and event_ids $2 go. $3 is who does it, and $4 why. The log keeps what they were, but no payload.
with chosen as (
    delete from outbox.dead_letters as dead
    using unnest($1::bigint[], $2::uuid[]) as named (id, event_id)
    where dead.id = named.id and dead.event_id = named.event_id
    returning dead.id, dead.event_id, subject, key, reason, error
), released as (
    delete from outbox.held_keys as held
    using chosen
    where held.dead_id = chosen.id and held.event_id = chosen.event_id
)
insert into outbox.dead_letter_log (action, actor, note, dead_id, event_id, subject, key, reason, error)
select 'discard', $3::text, $4::text, id, event_id, subject, key, reason, error from chosen order by id
