-- Whether the ids of receipts of generation $1 may have been drawn again although it is the same,
-- and whether there are receipts of other generations. The sequence has gone back behind one of
-- them, or the first or last row of one of the last two is not the acknowledged one: an id that is
-- drawn again is followed by all ids after it, so a sequence that has passed the receipts again has
-- passed the last ones too. A receipt may cover no id any more.
with highest as (
    select id, upper(ids) - 1 as last_id
    from outbox.receipts
    where generation = $1::bigint and not isempty(ids)
    order by 2 desc
    limit 2
), edge as (
    select pair.id, pair.event_id
    from highest
    join outbox.receipts as receipt on receipt.id = highest.id
    cross join lateral (values (lower(receipt.ids), receipt.event_ids[1]),
                               (upper(receipt.ids) - 1, receipt.event_ids[cardinality(receipt.event_ids)])) as pair (id, event_id)
)
select coalesce(
    (select max(last_id) from highest) > (select case when is_called then last_value else last_value - 1 end from outbox.events_id_seq)
    or exists (
        select from edge
        where not exists (select from outbox.events as event where event.id = edge.id and event.event_id = edge.event_id)),
    false),
    exists (select from outbox.receipts where generation is distinct from $1::bigint)
