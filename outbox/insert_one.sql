-- The casts tell the server the types, so that every driver may send what it likes best.
insert into outbox.events (event_id, subject, key, headers, payload)
values ($1::text::uuid, $2::text, nullif($3::text, ''), nullif($4::text, '')::jsonb, $5::bytea)
