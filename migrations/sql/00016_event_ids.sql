-- The zero UUID is refused as an event_id. It is what a program writes that forgot to set one, and
-- of all the events that have it the broker stores one.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- The rule holds for new rows alone, and its lock is asked for as in 00014_hardening.sql.
-- +goose StatementBegin
do $$
begin
    set local lock_timeout = '100ms';
    for attempt in 1..100 loop
        begin
            if not exists (select from pg_constraint where conrelid = 'outbox.events'::regclass and conname = 'events_event_id_set') then
                alter table outbox.events
                    add constraint events_event_id_set check (event_id <> '00000000-0000-0000-0000-000000000000') not valid;
            end if;
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

comment on column outbox.events.event_id is
    'The identity of the event, by which the broker knows it again: one of its own for each event. Of several events with one id the first is published; a later one with another subject, key or payload becomes a dead letter (id_taken).';
comment on constraint events_event_id_set on outbox.events is
    'The zero UUID is no id: leave event_id out to have one generated. Rows from before the rule are not checked.';
comment on column outbox.dead_letters.reason is
    'Why, in one word: too_large, bad_subject, bad_header, unreadable, id_taken (the broker has another event under its id), refused, or attempts (every attempt failed).';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

alter table outbox.events drop constraint if exists events_event_id_set;
comment on column outbox.events.event_id is
    'Identifies the event for consumers and is the dedup id at the broker. A writer may supply it.';
comment on column outbox.dead_letters.reason is
    'Why, in one word: too_large, bad_subject, bad_header, unreadable, refused, or attempts (every attempt failed).';
