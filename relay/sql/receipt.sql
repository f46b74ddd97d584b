-- Acknowledged events get their receipt: the ids $1 with the event_ids $2, stored by broker $3 in incarnation $5 of stream $4,
-- between the sequences $6 and $7; the stream is settled up to $9 then. Receipt $8 is extended if it is still there, so that a
-- trickle of events does not make a receipt each. An id alone does not name an event: a standby that was promoted after losing its last transactions hands
-- out the same ids again, so only a row that carries the acknowledged event_id too is covered.
with stored as (
    select * from unnest($1::bigint[], $2::uuid[]) as s (id, event_id)
), present as (
    select event.id
    from stored
    join outbox.events as event on event.id = stored.id and event.event_id = stored.event_id
), covered as (
    select range_agg(int8range(id, id, '[]')) as ids, count(*)::int as events
    from present
    having count(*) > 0
), extended as (
    update outbox.receipts as receipt
    set ids = receipt.ids + covered.ids,
        events = receipt.events + covered.events,
        first_sequence = least(receipt.first_sequence, $6::bigint),
        last_sequence = greatest(receipt.last_sequence, $7::bigint),
        settled_at = clock_timestamp()
    from covered
    where receipt.id = $8::bigint
    returning receipt.id
), written as (
    insert into outbox.receipts (broker, stream, incarnation, ids, events, first_sequence, last_sequence)
    select $3::text, $4::text, $5::text, covered.ids, covered.events, $6::bigint, $7::bigint
    from covered
    where not exists (select from extended)
    returning id
), placed as (
    insert into outbox.positions (broker, stream, incarnation, last_sequence) values ($3, $4, $5, $9)
)
select coalesce((select id from extended), (select id from written), 0) as receipt,
       coalesce((select events from covered), 0)::bigint as events
