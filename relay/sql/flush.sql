-- Commits something, to this server's disk: with it, all that was committed before is on disk. A message for logical
-- decoding is the least that makes a commit of its own; no table grows.
select set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, 'outbox-relay', '')
