-- The last $1 replays, the newest first.
select id, started_at, actor, selection, new_ids, last_id, end_id, events, finished_at from outbox.replays order by id desc limit $1
