-- What a hostile or careless role can do to an outbox: have its own functions called, write a row
-- that cannot be read, keep the relay awake or the writers notifying.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- Names are found in pg_catalog, and pg_temp comes last. Functions whose names were looked up when
-- they were made are made again, for that may have been under another search path.
alter function outbox.grant_operator(regrole) set search_path = pg_catalog, pg_temp;

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
    new_id pg_catalog.uuid := coalesce(event_id, pg_catalog.gen_random_uuid());
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
    new_id pg_catalog.uuid := coalesce(event_id, pg_catalog.gen_random_uuid());
begin
    insert into outbox.events (event_id, subject, key, headers, payload)
    values (new_id, subject, key, headers, payload);
    return new_id;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.acknowledged(ids int8multirange, event_ids uuid[]) returns table (id bigint, event_id uuid)
    language sql immutable parallel safe
begin atomic
    select pair.id, pair.event_id
    from unnest(array(select generate_series(lower(span), upper(span) - 1) from unnest(ids) as span), event_ids) as pair (id, event_id)
    where pair.id is not null;
end;
-- +goose StatementEnd

-- The waker: its value is the process of the server in which the relay sleeps, or 1 if that is
-- awake. Writers read it in one call, and it changes at once, not at a commit. Only who has the
-- right can set it; an advisory lock, which it replaces, anybody could hold.
create sequence if not exists outbox.waker;
comment on sequence outbox.waker is
    'The process of the server in which the relay sleeps and wants to be notified; 1 while it is awake. Set by the relay, read by each writer.';
grant select on sequence outbox.waker to public;

-- It runs with the rights of its owner to set the waker back where a relay has ended without doing
-- so: else every commit would notify. No business transaction may fail for this: a notification
-- would fail one when the server's queue of them is full, because a session listens and does not
-- read, and PREPARE TRANSACTION refuses one that has notified. The relay knows both cases, and
-- looks by itself.
-- +goose StatementBegin
create or replace function outbox.ring() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    process bigint := pg_sequence_last_value('outbox.waker');
begin
    perform pg_stat_clear_snapshot(); -- the list of processes may be as old as the transaction
    if process > 1 and not exists (select from pg_stat_get_activity(process::integer)) then
        if has_sequence_privilege('outbox.waker', 'update') then
            perform setval('outbox.waker', 1);
        end if;
    elsif current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('outbox_events', '');
    end if;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.grant_writer(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant select on sequence outbox.waker to %s', role);
    execute format('grant insert (event_id, subject, key, headers, payload) on outbox.events to %s', role);
    execute format('grant execute on function outbox.publish(text, jsonb, text, jsonb, uuid) to %s', role);
    execute format('grant execute on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) to %s', role);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.grant_relay(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
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
    execute format('grant select, update on sequence outbox.waker to %s', role);
    execute format('grant select on outbox.schema_version to %s', role);
end
$$;
-- +goose StatementEnd

-- Rows that cannot be read or settled. The rules hold for new rows alone: old ones are a few
-- minutes of events, the relay moves a broken one to outbox.dead_letters by itself, and to look at
-- all rows would take long in a large table. Ids up to there last for 100,000 years at a million
-- events a second; a sequence that is set higher by mistake is refused there and not in the
-- writers' transactions. Each lock is asked for briefly, and again, for it waits for the writers
-- that are open, and later ones wait for it.
-- +goose StatementBegin
do $$
declare
    last_id constant bigint := 4611686018427387903;
begin
    set local lock_timeout = '100ms';
    for attempt in 1..100 loop
        begin
            if not exists (select from pg_constraint where conrelid = 'outbox.events'::regclass and conname = 'events_readable') then
                alter table outbox.events
                    add constraint events_readable check (id <= 4611686018427387903 and isfinite(created_at)) not valid;
            end if;
            if (select last_value <= last_id from outbox.events_id_seq)
                and (select seqmax > last_id from pg_sequence where seqrelid = 'outbox.events_id_seq'::regclass) then
                alter sequence outbox.events_id_seq maxvalue 4611686018427387903;
            end if;
            if not exists (select from pg_constraint where conrelid = 'outbox.lease'::regclass and conname = 'lease_readable') then
                update outbox.lease
                set acquired_at = clock_timestamp(), expires_at = clock_timestamp(), ttl = '0', term = least(term, last_id)
                where not isfinite(acquired_at) or not isfinite(expires_at) or not ttl between '0' and '1 day' or term > last_id;
                alter table outbox.lease add constraint lease_readable check (
                    isfinite(acquired_at) and isfinite(expires_at) and ttl between '0' and '1 day' and term <= 4611686018427387903);
            end if;
            create or replace trigger ring after insert on outbox.events for each statement
                when (pg_sequence_last_value('outbox.waker'::regclass) > 1) execute function outbox.ring();
            exit;
        exception when lock_not_available then
            if attempt = 100 then
                raise exception using errcode = 'lock_not_available',
                    message = 'transactions held outbox.events all the time';
            end if;
            perform pg_sleep(0.1);
        end;
    end loop;
end
$$;
-- +goose StatementEnd

comment on column outbox.dead_letters.reason is
    'Why, in one word: too_large, bad_subject, bad_header, unreadable, refused, or attempts (every attempt failed).';
comment on constraint events_readable on outbox.events is
    'What every reader can represent: ids up to 4611686018427387903, and no infinite time. Rows from before it are not checked.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    -- Writers that are busy are not kept waiting for this lock for long: rather it fails and can be tried again.
    set local lock_timeout = '3s';
    create or replace trigger ring after insert on outbox.events for each statement
        when (not pg_catalog.pg_try_advisory_xact_lock_shared(31372865142353004)) execute function outbox.ring();
    alter table outbox.lease drop constraint lease_readable;
    alter sequence outbox.events_id_seq maxvalue 9223372036854775807;
    alter table outbox.events drop constraint events_readable;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.ring() returns trigger
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    if current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('outbox_events', '');
    end if;
    return null;
end
$$;
-- +goose StatementEnd

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

drop sequence outbox.waker;
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

alter function outbox.grant_operator(regrole) set search_path = pg_catalog;
