-- The safety net: ids of events from $1 to $2, at most $3 of them.
select id
from outbox.events
where id between $1 and $2
order by id
limit $3
