(
    -- Fails, by a division, unless outbox.events and its sequence are still those that the session began with: the files $1 (see
    -- generation.sql); no last id drawn that is less than the last one read, $2; under that id no other event than $3.
    select 1 / (
        (pg_relation_filenode('outbox.events')::bigint << 32) + pg_relation_filenode('outbox.events_id_seq')::bigint = $1::bigint
        and coalesce(pg_sequence_last_value('outbox.events_id_seq'), $2::bigint) >= $2::bigint
        and not exists (select from outbox.events where id = $2::bigint and event_id <> $3::uuid)
    )::int
) = 1
