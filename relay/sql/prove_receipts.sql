-- Compares the next $3 receipts after id $2 that are not of generation $1 with the rows. What they cover of those is covered by receipts of generation $1
-- from now on. The rest, whose rows are missing or are other events, stays in a receipt that covers no id, for the rows may be
-- restored. A receipt of an older relay has no event_ids: it takes those of the rows, unless the sequence has gone back behind it.
with drawn as (
    select case when is_called then last_value else last_value - 1 end as id from outbox.events_id_seq
), doubtful as (
    select * from outbox.receipts
    where id > $2::bigint and generation is distinct from $1::bigint
    order by id
    limit $3
    for update
), proven as (
    select doubtful.id as receipt, range_agg(int8range(event.id, event.id, '[]')) as ids,
           array_agg(event.event_id order by event.id) as event_ids, count(*)::int as events
    from doubtful
    cross join lateral outbox.acknowledged(doubtful.ids, doubtful.event_ids) as pair
    cross join lateral (
        select id, event_id from outbox.events as event
        where event.id = pair.id
          and (event.event_id = pair.event_id or doubtful.event_ids is null and upper(doubtful.ids) - 1 <= (select id from drawn))
        limit 1
    ) as event
    group by doubtful.id
), whole as (
    update outbox.receipts as receipt
    set ids = proven.ids, event_ids = proven.event_ids, events = proven.events, generation = $1::bigint
    from proven, doubtful
    where receipt.id = proven.receipt and doubtful.id = proven.receipt
      and (proven.ids = doubtful.ids or doubtful.event_ids is null)
    returning receipt.id
), parted as (
    update outbox.receipts as receipt
    set ids = receipt.ids - proven.ids, events = receipt.events - proven.events,
        event_ids = array(select pair.event_id from outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
                          where not proven.ids @> pair.id order by pair.id)
    from proven
    where receipt.id = proven.receipt and receipt.event_ids is not null and receipt.ids <> proven.ids
), kept as (
    insert into outbox.receipts (broker, stream, incarnation, ids, event_ids, events, first_sequence, last_sequence,
                                 first_settled_at, settled_at, generation)
    select broker, stream, incarnation, proven.ids, proven.event_ids, proven.events, first_sequence, last_sequence,
           first_settled_at, settled_at, $1::bigint
    from proven
    join doubtful on doubtful.id = proven.receipt
    where doubtful.event_ids is not null and doubtful.ids <> proven.ids
), useless as (
    delete from outbox.receipts as receipt
    using doubtful
    where receipt.id = doubtful.id and doubtful.event_ids is null and not exists (select from proven where proven.receipt = doubtful.id)
)
select coalesce(max(id), $2::bigint), count(*), coalesce(sum(events), 0)::bigint,
       coalesce((select sum(events) from proven), 0)::bigint
from doubtful
