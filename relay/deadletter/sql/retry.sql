-- The dead letters with the ids $1 and event_ids $2 become events again. $3 is who does it, and $4 why. A row that somebody else
-- has dealt with meanwhile is left out.
with chosen as (
    delete from outbox.dead_letters as dead
    using unnest($1::bigint[], $2::uuid[]) as named (id, event_id)
    where dead.id = named.id and dead.event_id = named.event_id
    returning dead.*
), restored as (
    -- To its old place in the order, unless another event has the id: one failover may have handed it out twice.
    insert into outbox.events (id, event_id, subject, key, headers, payload, created_at)
    overriding system value
    select id, event_id, subject, key, headers, payload, created_at from chosen
    where id <= 4611686018427387903 -- the highest that a row may have
    order by id
    on conflict (id) do nothing
    returning id, event_id
), homeless as (
    select chosen.*, row_number() over (order by id, event_id) as place
    from chosen
    where not exists (select from restored where restored.id = chosen.id and restored.event_id = chosen.event_id)
), appended as (
    insert into outbox.events (event_id, subject, key, headers, payload, created_at)
    select event_id, subject, key, headers, payload, created_at from homeless order by place
    returning id
), placed as (
    select id as dead_id, event_id, id as new_id from restored
    union all
    select homeless.id, homeless.event_id, fresh.id
    from homeless
    join (select id, row_number() over (order by id) as place from appended) as fresh using (place)
), uncovered as (
    -- A receipt that covers the id speaks of a row that is gone, if not of this one by mistake: the event is to be published.
    update outbox.receipts as receipt
    set ids = receipt.ids - again.ids,
        event_ids = case when receipt.event_ids is not null then array(
            select pair.event_id from outbox.acknowledged(receipt.ids, receipt.event_ids) as pair
            where not again.ids @> pair.id order by pair.id) end,
        events = (select coalesce(sum(upper(span) - lower(span)), 0) from unnest(receipt.ids - again.ids) as span)
    from (select range_agg(int8range(id, id, '[]')) as ids from restored) as again
    where receipt.ids && again.ids
), released as (
    delete from outbox.held_keys as held
    using chosen
    where held.dead_id = chosen.id and held.event_id = chosen.event_id
), logged as (
    insert into outbox.dead_letter_log (action, actor, note, dead_id, event_id, subject, key, reason, error, new_id)
    select 'retry', $3::text, $4::text, chosen.id, chosen.event_id, subject, key, reason, error, placed.new_id
    from chosen
    join placed on placed.dead_id = chosen.id and placed.event_id = chosen.event_id
    order by chosen.id
    returning id, dead_id, event_id, new_id
)
select logged.id as log_id, logged.dead_id, logged.event_id, logged.new_id, chosen.subject, coalesce(chosen.key, '') as key,
       chosen.last_failed_at
from logged
join chosen on chosen.id = logged.dead_id and chosen.event_id = logged.event_id
order by logged.new_id
