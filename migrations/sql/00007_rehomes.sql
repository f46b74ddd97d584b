-- Which events went to the fallback first and are published to the primary afterwards.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

create table if not exists outbox.rehomes (
    id         bigint generated always as identity primary key,
    ids        int8multirange not null,
    rehomed_at timestamptz    not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

comment on table outbox.rehomes is
    'Events that the fallback got while the primary was out, and that are published to the primary with the header Outbox-Rehomed. A row goes when those events have left outbox.events.';
comment on column outbox.rehomes.ids is 'The ids of the events in outbox.events.';
comment on column outbox.rehomes.rehomed_at is 'When the receipts of the fallback were taken back.';

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
    execute format('grant select on outbox.control to %s', role);
    execute format('grant select, insert, delete on outbox.dead_letters to %s', role);
    execute format('grant select, insert on outbox.held_keys to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd
drop table outbox.rehomes;
