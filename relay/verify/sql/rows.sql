-- The rows of receipt $8 that are the acknowledged ones, with the place that the stream gave them, all in one snapshot: the relay may extend the receipt or purge
-- it with its rows at any time. Payloads stay in the database; their hash is compared. Of an event that is not selected only
-- the name is of use. $9 is the incarnation for which sequences mean something.
select place.first_sequence, place.last_sequence,
       event.id, event.event_id, event.selected,
       case when event.selected then event.subject end,
       case when event.selected then event.key end,
       case when event.selected then event.headers end,
       case when event.selected then sha256(event.payload) end
from (
    select ids, event_ids,
           case when incarnation = $9::text then first_sequence else 0 end as first_sequence,
           case when incarnation = $9::text then last_sequence else 0 end as last_sequence
    from outbox.receipts
    where id = $8::bigint
) as place
cross join lateral outbox.acknowledged(place.ids, place.event_ids) as pair
cross join lateral (
    select *, :selection as selected
    from outbox.events
    where id = pair.id and event_id = coalesce(pair.event_id, event_id)
) as event
