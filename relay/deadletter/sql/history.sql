-- What people did about the dead letters with the event_ids $1 or the dead ids $2, the first first.
select at, action, actor, note, dead_id, event_id, subject, reason, error, new_id, coalesce(outcome, '') as outcome
from outbox.dead_letter_log
where event_id = any ($1::uuid[]) or dead_id = any ($2::bigint[])
order by id
