-- Events that can never be published, where a person can see why.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- id alone is not unique: a standby that was promoted after it lost the last transactions hands out the same ids again.
-- There are no rules on the columns on purpose: nothing may keep the relay from moving an event here.
create table if not exists outbox.dead_letters (
    id              bigint      not null,
    event_id        uuid        not null,
    subject         text        not null,
    key             text,
    headers         jsonb,
    payload         bytea       not null,
    created_at      timestamptz not null,
    reason          text        not null,
    error           text        not null,
    attempts        integer     not null,
    first_failed_at timestamptz not null,
    last_failed_at  timestamptz not null,
    primary key (id, event_id)
);

comment on table outbox.dead_letters is
    'Events that can never be published, moved here from outbox.events by the relay. Nothing removes them but a person.';
comment on column outbox.dead_letters.id is 'The id that the event had in outbox.events.';
comment on column outbox.dead_letters.event_id is 'As in outbox.events.';
comment on column outbox.dead_letters.subject is 'As in outbox.events.';
comment on column outbox.dead_letters.key is 'As in outbox.events.';
comment on column outbox.dead_letters.headers is 'As in outbox.events.';
comment on column outbox.dead_letters.payload is 'As in outbox.events.';
comment on column outbox.dead_letters.created_at is 'As in outbox.events: when the event was written, not when it failed.';
comment on column outbox.dead_letters.reason is
    'Why, in one word: too_large, bad_subject, bad_header, refused, or attempts (every attempt failed).';
comment on column outbox.dead_letters.error is 'What the broker answered at the last attempt.';
comment on column outbox.dead_letters.attempts is 'How often the relay tried to publish the event.';
comment on column outbox.dead_letters.first_failed_at is 'When the first attempt failed.';
comment on column outbox.dead_letters.last_failed_at is 'When the last attempt failed.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    set local lock_timeout = '3s';
    lock table outbox.dead_letters in access exclusive mode;
    if current_setting('outbox.drop_rows', true) is distinct from 'on' and exists (select from outbox.dead_letters) then
        raise exception 'outbox.dead_letters holds events that nobody has dealt with yet'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Retry or discard them first, or force the step to lose them.';
    end if;
    drop table outbox.dead_letters;
end
$$;
-- +goose StatementEnd
