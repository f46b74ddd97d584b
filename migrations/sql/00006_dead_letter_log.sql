-- What people do about dead letters, and what is replayed: both leave a trail.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- The tables of the first migrations are left as they are; which keys wait is a table of its own.
create table if not exists outbox.held_keys (
    key      text        not null,
    dead_id  bigint      not null,
    event_id uuid        not null,
    held_at  timestamptz not null default clock_timestamp(),
    primary key (key, dead_id, event_id)
);

comment on table outbox.held_keys is
    'Keys whose events wait until a dead letter of theirs is retried or discarded; empty unless relay.after_dead_letter is hold.';
comment on column outbox.held_keys.dead_id is 'The id of the dead letter.';
comment on column outbox.held_keys.event_id is 'The event_id of the dead letter.';

create table if not exists outbox.dead_letter_log (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    action   text        not null check (action in ('retry', 'discard')),
    actor    text        not null,
    note     text        not null default '',
    dead_id  bigint      not null,
    event_id uuid        not null,
    subject  text        not null,
    key      text,
    reason   text        not null,
    error    text        not null,
    new_id   bigint,
    outcome  text
);

comment on table outbox.dead_letter_log is 'Who retried or discarded which dead letter, when and why.';
comment on column outbox.dead_letter_log.actor is 'The database role, and who the operator said to be.';
comment on column outbox.dead_letter_log.note is 'Why, in the words of the operator. A discard always has one.';
comment on column outbox.dead_letter_log.reason is 'The reason that the dead letter had.';
comment on column outbox.dead_letter_log.new_id is 'The id in outbox.events under which a retried event was written again.';
comment on column outbox.dead_letter_log.outcome is
    'What became of a retry, where somebody waited for it: stored, duplicate (the stream recognised the id and stored nothing new) or dead.';

create table if not exists outbox.replays (
    id          bigint generated always as identity primary key,
    started_at  timestamptz not null default clock_timestamp(),
    actor       text        not null,
    selection   jsonb       not null,
    new_ids     boolean     not null,
    last_id     bigint      not null,
    end_id      bigint      not null,
    events      bigint      not null default 0,
    finished_at timestamptz
);

comment on table outbox.replays is 'What was replayed, by whom, and how far an interrupted replay came.';
comment on column outbox.replays.selection is 'Which events were asked for.';
comment on column outbox.replays.new_ids is 'Whether the events got new event_ids.';
comment on column outbox.replays.last_id is 'Events up to this id were looked at.';
comment on column outbox.replays.end_id is 'Events up to this id belong to the replay.';

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

-- +goose StatementBegin
create or replace function outbox.grant_operator(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog
as $$
begin
    perform outbox.grant_relay(role);
    execute format('grant insert on outbox.events to %s', role);
    execute format('grant update on outbox.control to %s', role);
    execute format('grant delete on outbox.held_keys to %s', role);
    execute format('grant select, insert, update on outbox.dead_letter_log to %s', role);
    execute format('grant select, insert, update on outbox.replays to %s', role);
end
$$;
-- +goose StatementEnd

revoke all on function outbox.grant_relay(regrole) from public;
revoke all on function outbox.grant_operator(regrole) from public;

comment on function outbox.grant_operator(regrole) is
    'Gives a role what a person needs who works on the outbox with the commands dead, replay and verify: the rights of the relay, and to write events again. Example: select outbox.grant_operator(''alice'')';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

drop function outbox.grant_operator(regrole);
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
drop table outbox.replays;
drop table outbox.dead_letter_log;
drop table outbox.held_keys;
