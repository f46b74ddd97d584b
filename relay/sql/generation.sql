-- Names the files of outbox.events and its sequence. TRUNCATE, RESTART IDENTITY, ALTER SEQUENCE RESTART, a restore, VACUUM FULL, and a table that
-- was dropped and created replace one; a setval does not.
select (pg_relation_filenode('outbox.events')::bigint << 32) + pg_relation_filenode('outbox.events_id_seq')::bigint
