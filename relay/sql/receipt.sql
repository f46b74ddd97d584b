-- Acknowledged events get their receipt: the $2 ids $1 with the event_ids $14, read in generation $15 of the table, stored by broker $3 in incarnation
-- $5 of stream $4, between the sequences $6 and $7; the stream is settled up to $9 then. Receipt $8 is extended if it is still there, so
-- that a trickle of events does not make a receipt each. Nothing is written, and false returned, unless the first event, $10 and $11,
-- and the last, $12 and $13, are in the table with their event_ids: somebody has emptied it or put its sequence back, and the ids may be
-- those of other events.
with intact as (
    select $2::int = 0
           or exists (select from outbox.events where id = $10::bigint and event_id = $11::uuid)
          and exists (select from outbox.events where id = $12::bigint and event_id = $13::uuid) as yes
), extended as (
    update outbox.receipts as receipt
    set ids = receipt.ids + $1::int8multirange,
        event_ids = case
            when upper(receipt.ids) <= lower($1::int8multirange) then receipt.event_ids || $14::uuid[]
            else array(
                select pair.event_id
                from (select id, event_id from outbox.acknowledged(receipt.ids, receipt.event_ids)
                      union all
                      select id, event_id from outbox.acknowledged($1::int8multirange, $14::uuid[])) as pair
                order by pair.id)
            end,
        events = receipt.events + $2::int,
        first_sequence = least(receipt.first_sequence, $6::bigint),
        last_sequence = greatest(receipt.last_sequence, $7::bigint),
        settled_at = clock_timestamp()
    from intact
    where intact.yes and $2::int > 0 and receipt.id = $8::bigint
      and receipt.event_ids is not null and receipt.generation = $15::bigint and not receipt.ids && $1::int8multirange
    returning receipt.id
), written as (
    insert into outbox.receipts (broker, stream, incarnation, ids, event_ids, generation, events, first_sequence, last_sequence)
    select $3::text, $4::text, $5::text, $1::int8multirange, $14::uuid[], $15::bigint, $2::int, $6::bigint, $7::bigint
    from intact
    where intact.yes and $2::int > 0 and not exists (select from extended)
    returning id
), placed as (
    insert into outbox.positions (broker, stream, incarnation, last_sequence)
    select $3::text, $4::text, $5::text, $9::bigint from intact where intact.yes
)
select intact.yes, coalesce((select id from extended), (select id from written), 0) from intact
