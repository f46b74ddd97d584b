-- The rights of the two roles, each in one function, so that nobody has to work them out.
--
-- The argument is a regrole and not a name: it must be a role that exists, and cannot be PUBLIC.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
create or replace function outbox.grant_writer(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant insert (event_id, subject, key, headers, payload) on outbox.events to %s', role);
    execute format('grant execute on function outbox.publish(text, jsonb, text, jsonb, uuid) to %s', role);
    execute format('grant execute on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) to %s', role);
end
$$;
-- +goose StatementEnd

-- Dead letters are never updated: one is written once, and then retried or discarded.
-- +goose StatementBegin
create or replace function outbox.grant_relay(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant select, delete on outbox.events to %s', role);
    execute format('grant select on sequence outbox.events_id_seq to %s', role);
    execute format('grant select, insert, delete on outbox.dead_letters to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd

revoke all on function outbox.grant_writer(regrole) from public;
revoke all on function outbox.grant_relay(regrole) from public;

comment on function outbox.grant_writer(regrole) is
    'Gives a role what a game service needs: to write events, and nothing else. Example: select outbox.grant_writer(''game'')';
comment on function outbox.grant_relay(regrole) is
    'Gives a role what the relay needs: to read and remove events and to keep dead letters. Run it again after a migration. Example: select outbox.grant_relay(''relay'')';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

drop function outbox.grant_relay(regrole);
drop function outbox.grant_writer(regrole);
