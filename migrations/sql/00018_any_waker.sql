-- The waker may have any value. The cast to integer failed for a value that no process can have, and so
-- did every transaction with an event. Such a value now counts as a process that has ended.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- Only the function is replaced, so the table is not locked.
-- +goose StatementBegin
create or replace function outbox.ring() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    value   bigint := pg_sequence_last_value('outbox.waker');
    process integer := case when value between 2 and 2147483647 then value end;
begin
    perform pg_stat_clear_snapshot(); -- the list of processes may be as old as the transaction
    if value > 1 and (process is null or not exists (select from pg_stat_get_activity(process))) then
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

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

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
