-- Acknowledged events leave the table at once: the ids $1 with the event_ids $2, stored by broker $3 in incarnation $5 of stream
-- $4 up to sequence $6. An id alone does not name an event, see receipt.sql. Two conditions instead of a join with the two lists: the
-- planner, whose statistics of an outbox are out of date, would read the whole table for it.
with removed as (
    delete from outbox.events
    where id = any ($1::bigint[])
      and event_id = any ($2::uuid[])
)
insert into outbox.positions (broker, stream, incarnation, last_sequence) values ($3, $4, $5, $6)
