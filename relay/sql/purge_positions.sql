-- Of the positions of each stream only the newest counts: those after id $1 that are older than it go. What set_kept.sql writes is none.
with recent as materialized (
    select id, broker, stream from outbox.positions where id > $1::bigint and kept_from is null order by id limit $2
), old as (
    select older.id
    from recent as older
    where exists (select from recent as newer where newer.broker = older.broker and newer.stream = older.stream and newer.id > older.id)
), gone as (
    delete from outbox.positions as position using old where position.id = old.id
)
select coalesce(max(id), $1::bigint) from old
