-- Which events a crash of Postgres may still take back: those written under synchronous_commit = off.
--
-- Such a commit is visible before it is on disk. The relay must not publish an event whose transaction a crash makes
-- Postgres forget, and nothing but the writer's own session knows how it will commit.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- Neither step rewrites the table, but each needs a lock that waits for the writers that are open, and all later ones
-- wait for it: so it is asked for briefly, and again.
-- +goose StatementBegin
do $$
begin
    set local lock_timeout = '100ms';
    for attempt in 1..100 loop
        begin
            alter table outbox.events add column if not exists async_commit boolean;
            alter table outbox.events alter column async_commit set default
                (case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off' then true end);
            exit;
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

comment on column outbox.events.async_commit is
    'True if the writer commits with synchronous_commit = off, else null. Set by the default, never by a writer. The relay publishes such an event once its commit is on disk.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    -- Writers that are busy are not kept waiting for this lock for long: rather it fails and can be tried again.
    set local lock_timeout = '3s';
    alter table outbox.events drop column async_commit;
end
$$;
-- +goose StatementEnd
