-- Of the ids $8 with the event_ids $9 that the stream holds at the sequences $10, those of selected rows whose receipts say that
-- they lie elsewhere in incarnation $13 of stream $12 of broker $11. No row means that it was purged, no receipt that it is
-- being settled, and a receipt that fits that it was written since the receipts were listed: none of these is a finding.
with message as (
    select * from unnest($8::bigint[], $9::uuid[], $10::bigint[]) as m (id, event_id, sequence)
), stray as materialized (
    select event.*, message.sequence
    from message
    cross join lateral (
        select * from outbox.events where id = message.id and event_id = message.event_id and :selection
    ) as event
), hull as (
    select range_agg(int8range(id, id, '[]')) as ids from stray
), place as materialized (
    select receipt.ids, receipt.first_sequence, receipt.last_sequence
    from outbox.receipts as receipt, hull
    where receipt.broker = $11::text and receipt.stream = $12::text and receipt.incarnation = $13::text
      and receipt.ids && hull.ids
)
select stray.id, stray.event_id, stray.sequence, coalesce(stray.subject, ''), coalesce(stray.key, ''), stray.headers,
       sha256(stray.payload), clock_timestamp() - stray.created_at
from stray
where exists (select from place where place.ids @> stray.id)
  and not exists (
      select from place
      where place.ids @> stray.id and stray.sequence between place.first_sequence and place.last_sequence)
