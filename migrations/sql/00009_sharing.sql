-- How relays with several sources share them out: who would like to lead this outbox.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- One row beside outbox.lease and not in it, so that the renewal of a lease waits for nobody who asks for it.
create table if not exists outbox.sharing (
    one         boolean     not null default true primary key check (one),
    term        bigint      not null default 0,
    load        integer     not null default 0,
    bidder      text        not null default '',
    bidder_load integer     not null default 0,
    bid_at      timestamptz not null default '-infinity'
) with (
    fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_analyze_threshold = 1000000,
    vacuum_truncate = off
);
insert into outbox.sharing default values on conflict do nothing;

comment on table outbox.sharing is
    'One row. Relays with several sources share them out: one that leads fewer asks here for the lease of this outbox. A relay with one source leaves it alone.';
comment on column outbox.sharing.term is 'The term of the lease under which load was told.';
comment on column outbox.sharing.load is 'How many sources the process leads that leads this outbox.';
comment on column outbox.sharing.bidder is 'The relay that asks for the lease, as it names itself in its log and its status.';
comment on column outbox.sharing.bidder_load is 'How many sources its process leads.';
comment on column outbox.sharing.bid_at is 'When it asked last, by the clock of the database. What is older than a few seconds is void.';

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
    execute format('grant select, update (term, load, bidder, bidder_load, bid_at) on outbox.sharing to %s', role);
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
    execute format('grant select, update (owner, term, ttl, acquired_at, expires_at) on outbox.lease to %s', role);
    execute format('grant select, insert, delete on outbox.dead_letters to %s', role);
    execute format('grant select, insert on outbox.held_keys to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd
drop table outbox.sharing;
