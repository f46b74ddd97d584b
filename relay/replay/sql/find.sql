select id, started_at, actor, selection, new_ids, last_id, end_id, events, finished_at from outbox.replays where id = $1
