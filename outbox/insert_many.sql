-- The ids are drawn in the order of the rows, that is of the arguments. Of several arrays unnest is a
-- word of the grammar, which no function replaces.
insert into outbox.events (event_id, subject, key, headers, payload)
select event_id::uuid, subject,
       case when key operator(pg_catalog.<>) '' then key end,
       case when headers operator(pg_catalog.<>) '' then headers end::jsonb,
       payload
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    with ordinality as event (event_id, subject, key, headers, payload, place)
order by place
