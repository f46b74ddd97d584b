-- The next dead letters that are meant, by id: behind id $11 and event_id $12, up to id $13, at most $14 of them.
with meant as (
    select null::bigint as id, null::uuid as event_id where false
)
select id, event_id
from meant
where (id, event_id) > ($11::bigint, $12::uuid) and id <= $13::bigint
order by id, event_id
limit $14
