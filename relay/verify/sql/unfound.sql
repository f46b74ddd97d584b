-- Of the ids $2..$3 (their first and last, in order), those that receipt $1 covers still: what was purged or taken out of it
-- meanwhile is not missing. $4 is the incarnation for which sequences mean something. Times are
-- ages, for the clock of whoever asks may be another.
select event.id, event.event_id, event.subject, coalesce(event.key, ''), place.first_sequence,
       clock_timestamp() - event.created_at, clock_timestamp() - place.first_settled_at, clock_timestamp() - place.settled_at
from (
    select ids, event_ids, case when incarnation = $4::text then first_sequence else 0 end as first_sequence, first_settled_at, settled_at
    from outbox.receipts
    where id = $1::bigint
) as place
cross join unnest($2::bigint[], $3::bigint[]) as span (first_id, last_id)
cross join lateral (
    select id, event_id, subject, key, created_at
    from outbox.events
    where id between span.first_id and span.last_id
) as event
join outbox.acknowledged(place.ids, place.event_ids) as pair on pair.id = event.id
where event.event_id = coalesce(pair.event_id, event.event_id)
order by event.id
