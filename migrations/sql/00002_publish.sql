-- The functions by which every language that speaks SQL writes an event.
--
-- They run with the caller's own rights, so that a right to insert is all a writer needs, and they return the id from a
-- variable, for a writer may not read the table. plpgsql keeps its plan from call to call, which language sql does not.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
create or replace function outbox.publish(
    subject  text,
    payload  jsonb,
    key      text  default null,
    headers  jsonb default null,
    event_id uuid  default null
) returns uuid
    language plpgsql volatile
as $$
declare
    new_id uuid := coalesce(event_id, pg_catalog.gen_random_uuid());
begin
    insert into outbox.events (event_id, subject, key, headers, payload)
    values (new_id, subject, key, headers, pg_catalog.convert_to(payload::pg_catalog.text, 'UTF8'));
    return new_id;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.publish_bytes(
    subject  text,
    payload  bytea,
    key      text  default null,
    headers  jsonb default null,
    event_id uuid  default null
) returns uuid
    language plpgsql volatile
as $$
declare
    new_id uuid := coalesce(event_id, pg_catalog.gen_random_uuid());
begin
    insert into outbox.events (event_id, subject, key, headers, payload)
    values (new_id, subject, key, headers, payload);
    return new_id;
end
$$;
-- +goose StatementEnd

revoke all on function outbox.publish(text, jsonb, text, jsonb, uuid) from public;
revoke all on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) from public;

comment on function outbox.publish(text, jsonb, text, jsonb, uuid) is
    'Writes an event with a JSON payload in the current transaction and returns its event_id. Without event_id, or with null, one is generated. Example: select outbox.publish(''game.player.level_up'', ''{"level": 7}'', key => ''player:42'')';
comment on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) is
    'Writes an event whose payload is sent byte for byte. Otherwise as outbox.publish().';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

drop function outbox.publish_bytes(text, bytea, text, jsonb, uuid);
drop function outbox.publish(text, jsonb, text, jsonb, uuid);
