-- Acknowledged events leave the table at once: the ids $1 with the event_ids $2, stored by broker $3 in incarnation $5 of stream
-- $4 up to sequence $6. An id alone does not name an event, see receipt.sql.
with stored as (
    select * from unnest($1::bigint[], $2::uuid[]) as s (id, event_id)
), removed as (
    delete from outbox.events as event
    using stored
    where event.id = stored.id
      and event.event_id = stored.event_id
)
insert into outbox.positions (broker, stream, incarnation, last_sequence) values ($3, $4, $5, $6)
