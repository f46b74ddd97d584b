-- Who leads: of the relays of one outbox, the one that holds the lease publishes.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- The row is updated about once a second. Nearly empty pages and no index on what changes keep that inside one page, without a
-- new index entry; where a transaction somewhere holds a snapshot for long, each update walks over the versions since then, a fifth
-- of a millisecond for every 10,000, which is the work of some hours.
create table if not exists outbox.lease (
    one         boolean     not null default true primary key check (one),
    owner       text        not null default '',
    term        bigint      not null default 0,
    ttl         interval    not null default interval '0',
    acquired_at timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null default clock_timestamp()
) with (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_analyze_threshold = 1000000,
    vacuum_truncate = off
);
insert into outbox.lease default values on conflict do nothing;

comment on table outbox.lease is
    'One row: which relay leads this outbox. A relay takes the lease when it is free or has expired, and renews it well before that.';
comment on column outbox.lease.owner is 'The relay that leads, as it names itself in its log and its status. Empty means that the lease is free.';
comment on column outbox.lease.term is 'Counts how often the lease was taken. What a relay writes under an earlier term changes nothing.';
comment on column outbox.lease.ttl is 'For how long the owner takes and renews the lease, its relay.lease.';
comment on column outbox.lease.acquired_at is 'When the lease was taken or, if it is free, given back; by the clock of the database, like the next.';
comment on column outbox.lease.expires_at is 'When another relay may take the lease, unless it is renewed.';

-- +goose StatementBegin
create or replace function outbox.grant_relay(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant select, delete on outbox.events to %s', role);
    execute format('grant select on sequence outbox.events_id_seq to %s', role);
    execute format('grant select, insert, update, delete on outbox.receipts to %s', role);
    execute format('grant select, insert, delete on outbox.positions to %s', role);
    execute format('grant select, insert, delete on outbox.rehomes to %s', role);
    execute format('grant select on outbox.control to %s', role);
    execute format('grant select, update (owner, term, ttl, acquired_at, expires_at) on outbox.lease to %s', role);
    execute format('grant select, insert, delete on outbox.dead_letters to %s', role);
    execute format('grant select, insert on outbox.held_keys to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
create or replace function outbox.grant_relay(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant select, delete on outbox.events to %s', role);
    execute format('grant select on sequence outbox.events_id_seq to %s', role);
    execute format('grant select, insert, update, delete on outbox.receipts to %s', role);
    execute format('grant select, insert, delete on outbox.positions to %s', role);
    execute format('grant select, insert, delete on outbox.rehomes to %s', role);
    execute format('grant select on outbox.control to %s', role);
    execute format('grant select, insert, delete on outbox.dead_letters to %s', role);
    execute format('grant select, insert on outbox.held_keys to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd
drop table outbox.lease;
