-- Which of the ids $1 and the event_ids $2 no dead letter has.
select id::text
from unnest($1::bigint[]) as id
where not exists (select from outbox.dead_letters as dead where dead.id = id)
union all
select event_id::text
from unnest($2::uuid[]) as event_id
where not exists (select from outbox.dead_letters as dead where dead.event_id = event_id)
