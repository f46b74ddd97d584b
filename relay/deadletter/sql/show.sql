-- One dead letter, whole.
select headers, payload from outbox.dead_letters where id = $1 and event_id = $2
