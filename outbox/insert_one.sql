-- The casts tell the server the types, so that every driver may send what it likes best.
insert into outbox.events (event_id, subject, key, headers, payload)
values ($1::text::uuid, $2::text,
        case when $3::text operator(pg_catalog.<>) '' then $3::text end,
        case when $4::text operator(pg_catalog.<>) '' then $4::text end::jsonb,
        $5::bytea)
