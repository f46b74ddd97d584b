-- A replay of the selection $1, with new event_ids if $2, begins behind id $3 and ends with id $4, and in any case with the last
-- event that is there now: the copies that it makes come after that.
insert into outbox.replays (actor, selection, new_ids, last_id, end_id)
select current_user::text, $1::jsonb, $2::boolean, $3::bigint, greatest($3::bigint, least($4::bigint, max(id)))
from outbox.events
returning id, started_at, actor, selection, new_ids, last_id, end_id, events, finished_at
