-- How many dead letters are meant, by reason and subject, the most first; the highest id and when the last one failed.
with meant as (
    select null::bigint as id, null::uuid as event_id where false
)
select dead.reason, dead.subject, count(*) as events, max(dead.id) as last_id, max(dead.last_failed_at) as last_failed_at
from meant
join outbox.dead_letters as dead using (id, event_id)
group by dead.reason, dead.subject
order by events desc, dead.reason, dead.subject
