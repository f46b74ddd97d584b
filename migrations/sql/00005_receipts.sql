-- What was acknowledged, and where it is: receipts, and the place that each stream had reached.
--
-- A row of outbox.events that no receipt covers is an event still to publish. With retention the acknowledged rows stay for a
-- while, so that they can be sent again should the broker lose them; a purge takes a receipt and its rows away together.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- A receipt lists the very ids whose rows were acknowledged, and no other: an id that was rolled back may be drawn again after
-- a restore, and its row must not count as published then.
create table if not exists outbox.receipts (
    id               bigint generated always as identity primary key,
    broker           text           not null,
    stream           text           not null,
    incarnation      text           not null,
    ids              int8multirange not null,
    events           integer        not null,
    first_sequence   bigint         not null,
    last_sequence    bigint         not null,
    first_settled_at timestamptz    not null default clock_timestamp(),
    settled_at       timestamptz    not null default clock_timestamp()
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

comment on table outbox.receipts is
    'Which events were acknowledged by which stream. Written by the relay, purged by it together with the rows after relay.retention.';
comment on column outbox.receipts.broker is 'The kind of broker: jetstream, redis, noop.';
comment on column outbox.receipts.stream is 'The name of the stream; empty for a broker that has none.';
comment on column outbox.receipts.incarnation is 'Tells a stream from another one of the same name that replaced it.';
comment on column outbox.receipts.ids is 'The ids of the events in outbox.events, those alone.';
comment on column outbox.receipts.events is 'How many events the receipt covers.';
comment on column outbox.receipts.first_sequence is 'The events lie in the stream at this sequence or behind it.';
comment on column outbox.receipts.last_sequence is 'The events lie in the stream at this sequence or before it.';
comment on column outbox.receipts.first_settled_at is 'When the first of the events was settled.';
comment on column outbox.receipts.settled_at is 'When the last of the events was settled.';

-- The newest row of a stream counts. A row a stream that is rewritten would gather versions while a transaction somewhere holds a
-- snapshot, and each write would walk over all of them: a fifth of a millisecond more for every 10,000, measured.
create table if not exists outbox.positions (
    id            bigint generated always as identity primary key,
    broker        text        not null,
    stream        text        not null,
    incarnation   text        not null,
    last_sequence bigint      not null,
    settled_at    timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

create index if not exists positions_of_stream on outbox.positions (broker, stream, id);

comment on table outbox.positions is
    'How far each stream has been settled: its newest row tells. What a stream holds behind it is looked up when a relay takes over, and a stream that ends before it has lost events.';
comment on column outbox.positions.last_sequence is 'The last sequence of the stream up to which everything is settled.';

-- Whoever changes by hand what the leading relay keeps in memory raises the epoch in the same transaction: the relay then
-- reads everything again.
create table if not exists outbox.control (
    one   boolean not null default true primary key check (one),
    epoch bigint  not null default 0
);
insert into outbox.control default values on conflict do nothing;

comment on table outbox.control is 'One row. A change of epoch makes the leading relay read the table of events from the start.';

-- Rows leave these tables as fast as they come, so what counts for vacuum is their number and not their share. It must never
-- cut the file off, for which it would lock every writer out. Setting this waits for no writer, and none waits for it.
alter table outbox.events set (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 1, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000,
    vacuum_truncate = off, toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
    toast.vacuum_truncate = off
);

-- Where a migration before this one is applied again, the comment of the table is put back to what it has become.
comment on table outbox.events is
    'Events that wait to be published, and for relay.retention those that were. A row appears when its transaction commits; outbox.receipts tells which rows were acknowledged. Write with outbox.publish() or the Go package outbox.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

comment on table outbox.events is
    'Events that wait to be published. A row appears when its transaction commits and goes when the broker has acknowledged it. Write with outbox.publish() or the Go package outbox.';
alter table outbox.events reset (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_threshold,
    autovacuum_vacuum_cost_delay, autovacuum_analyze_scale_factor, autovacuum_analyze_threshold,
    vacuum_truncate, toast.autovacuum_vacuum_scale_factor, toast.autovacuum_vacuum_threshold, toast.vacuum_truncate
);
-- Without its receipt, a retained row would be an event to publish again.
-- +goose StatementBegin
do $$
begin
    delete from outbox.events as event
    using (select lower(span) as first_id, upper(span) as next_id from outbox.receipts, unnest(ids) as span) as covered
    where event.id >= covered.first_id and event.id < covered.next_id;
end
$$;
-- +goose StatementEnd
drop table outbox.control;
drop table outbox.positions;
drop table outbox.receipts;
