-- The ids are drawn in the order of the rows, that is of the arguments.
insert into outbox.events (event_id, subject, key, headers, payload)
select event_id::uuid, subject, nullif(key, ''), nullif(headers, '')::jsonb, payload
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    with ordinality as event (event_id, subject, key, headers, payload, place)
order by place
