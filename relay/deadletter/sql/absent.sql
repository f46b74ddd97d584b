-- Which of the ids $1 and the event_ids $2 no dead letter has.
select named.id::text
from unnest($1::bigint[]) as named (id)
where not exists (select from outbox.dead_letters as dead where dead.id = named.id)
union all
select named.event_id::text
from unnest($2::uuid[]) as named (event_id)
where not exists (select from outbox.dead_letters as dead where dead.event_id = named.event_id)
