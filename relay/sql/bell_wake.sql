-- Process $1 of the server does not sleep any more.
select set_config('synchronous_commit', 'off', true), setval('outbox.waker', 1)
where pg_sequence_last_value('outbox.waker') = $1::bigint
