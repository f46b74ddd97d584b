-- Ids of which no row is left: the events were rehomed, and their retention is over.
delete from outbox.rehomes as rehome
where not exists (
    select
    from unnest(rehome.ids) as span
    cross join lateral (
        select id from outbox.events where id >= lower(span) and id < upper(span) order by id limit 1
    ) as event
)
