-- What the relay last saw of a stream's limits: whether the stream itself can have removed what is missing. A limit that was lifted since
-- explains what is gone as well as one of today.
--
-- It is a row of its own in outbox.positions, told by kept_from: it goes with no settlement, and the newest of a stream counts.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

alter table outbox.positions add column if not exists limits text;
alter table outbox.positions add column if not exists kept_from bigint;
alter table outbox.positions add column if not exists kept_until bigint;

create index if not exists positions_kept on outbox.positions (broker, stream, id) where kept_from is not null;

comment on column outbox.positions.limits is
    'By which settings the stream could remove events by itself when the relay looked last. The row says only that, and no position, if it has a kept_from.';
comment on column outbox.positions.kept_from is 'What the stream held from this sequence on it has not removed by itself.';
comment on column outbox.positions.kept_until is 'Nor does it, but by age, before it has reached this sequence.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

delete from outbox.positions where kept_from is not null;
drop index outbox.positions_kept;
alter table outbox.positions drop column limits, drop column kept_from, drop column kept_until;
