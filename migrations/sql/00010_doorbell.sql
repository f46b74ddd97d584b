-- The doorbell: a writer tells a relay that sleeps that there is something to publish, and one that is awake nothing.
--
-- A writer asks, in one call and without waiting, for a lock that it shares with other writers. It gets it unless the relay has it to
-- itself, which is the sign that it sleeps; then the writer's commit notifies. A lock that a writer got it holds to its end, so the relay,
-- which only ever tries too, cannot fall asleep while somebody is about to commit who saw it awake. A NOTIFY in each transaction instead
-- would make the commits of the whole server wait for each other.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- No business transaction may fail for this: a notification would fail one when the server's queue of them is full, because a session
-- listens and does not read, and PREPARE TRANSACTION refuses one that has notified. The relay knows both cases, and looks by itself.
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

revoke all on function outbox.ring() from public;

comment on function outbox.ring() is
    'The trigger on outbox.events: notifies the relay at the commit. It is called only while the relay sleeps. A writer needs no right for it.';

-- A trigger needs a lock that waits for the writers that are open, and all later ones wait behind it: so it is asked for briefly, and
-- again. The key is "outbell" in ASCII.
-- +goose StatementBegin
do $$
begin
    set local lock_timeout = '100ms';
    for attempt in 1..100 loop
        exit when exists (select from pg_catalog.pg_trigger where tgrelid = 'outbox.events'::regclass and tgname = 'ring');
        begin
            create trigger ring after insert on outbox.events for each statement
                when (not pg_catalog.pg_try_advisory_xact_lock_shared(31372865142353004)) execute function outbox.ring();
        exception when lock_not_available then
            if attempt = 100 then
                raise exception using errcode = 'lock_not_available',
                    message = 'transactions held outbox.events all the time';
            end if;
            perform pg_catalog.pg_sleep(0.1);
        end;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    -- Writers that are busy are not kept waiting behind this lock for long: rather it fails and can be tried again.
    set local lock_timeout = '3s';
    drop trigger ring on outbox.events;
end
$$;
-- +goose StatementEnd
drop function outbox.ring();
