-- Notes what is seen now of the limits of stream $2 of broker $1, in place of what was noted before. A relay of an earlier version takes the
-- row for a position, so it repeats the last one.
with gone as (
    delete from outbox.positions where broker = $1::text and stream = $2::text and kept_from is not null
)
insert into outbox.positions (broker, stream, incarnation, last_sequence, limits, kept_from, kept_until)
select $1::text, $2::text, $3::text, coalesce((
           select last_sequence
           from outbox.positions
           where broker = $1::text and stream = $2::text and kept_from is null
           order by id desc
           limit 1), 0), $4::text, $5::bigint, $6::bigint
