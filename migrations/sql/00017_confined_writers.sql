-- Services that may write some subjects only: outbox.grant_writer(role, subjects).
--
-- A trigger refuses their other events. It exists in databases where a role was confined, and asks
-- the others one call of C for each row. Row security would ask them nothing, but it takes COPY
-- away from every writer, and it cannot be told from row security that hides events from the relay.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- Marks the roles that are confined: they may use the type. A right is found in one call, with all
-- that a role inherits. No GRANT ON ALL gives or takes rights on types.
-- +goose StatementBegin
do $$
begin
    if to_regtype('outbox.confined') is null then
        create type outbox.confined as enum ();
    end if;
end
$$;
-- +goose StatementEnd
revoke all on type outbox.confined from public;
comment on type outbox.confined is
    'Nothing has this type. Roles that may use it may write only the subjects that outbox.confined_writers gives them.';

create table if not exists outbox.confined_writers (
    role     regrole primary key,
    subjects text[]  not null,
    pattern  text    not null
);
comment on table outbox.confined_writers is
    'Which roles may write some subjects only. Set by outbox.grant_writer(role, subjects), removed by outbox.revoke_writer(role).';
comment on column outbox.confined_writers.subjects is
    'What the role may write, by the rules of NATS: * stands for one token, > at the end for one or more.';
comment on column outbox.confined_writers.pattern is 'The subjects as a regular expression.';

-- It runs with the writer's rights and under its search path, so every name has its schema.
-- +goose StatementBegin
create or replace function outbox.confine() returns trigger
    language plpgsql stable
as $$
begin
    if exists (
        select from outbox.confined_writers as writer
        where pg_catalog.pg_has_role(writer.role, 'usage')
          and new.subject collate pg_catalog."C" operator(pg_catalog.~) writer.pattern)
    then
        return null;
    end if;
    raise exception using errcode = 'check_violation',
        schema = 'outbox', table = 'events', constraint = 'events_subject_allowed',
        message = pg_catalog.format('role %I may not write subject %s, only %s', current_user, new.subject, coalesce((
            select pg_catalog.string_agg(pg_catalog.array_to_string(writer.subjects, ', '), ', ')
            from outbox.confined_writers as writer
            where pg_catalog.pg_has_role(writer.role, 'usage')), 'none')),
        hint = 'The owner of the schema may change that with: select outbox.grant_writer(role, subjects => array[...])';
end
$$;
-- +goose StatementEnd
revoke all on function outbox.confine() from public;
comment on function outbox.confine() is
    'The trigger on outbox.events that refuses subjects that a confined role may not write. It is created with the first such role.';

-- +goose StatementBegin
create or replace function outbox.grant_writer(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    confined text[] := (
        select writer.subjects from outbox.confined_writers as writer where writer.role = grant_writer.role);
begin
    if confined is not null then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = format('role %s may write only %s', role, array_to_string(confined, ', ')),
            hint = format('To lift that, run: select outbox.grant_writer(%L, subjects => array[''>''])', role);
    end if;
    execute format('grant usage on schema outbox to %s', role);
    execute format('grant select on sequence outbox.waker to %s', role);
    execute format('grant insert (event_id, subject, key, headers, payload) on outbox.events to %s', role);
    execute format('grant execute on function outbox.publish(text, jsonb, text, jsonb, uuid) to %s', role);
    execute format('grant execute on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) to %s', role);
end
$$;
-- +goose StatementEnd

-- The first confined role gives the table its trigger, whose lock waits for the writers that are
-- open, and later ones wait for it: so it is asked for briefly, and again.
-- +goose StatementBegin
create or replace function outbox.grant_writer(role regrole, subjects text[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '100ms'
    set standard_conforming_strings = on
as $$
declare
    subject  text;
    sample   text;
    patterns text[] := '{}';
begin
    if coalesce(cardinality(subjects), 0) = 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'subjects is empty, and the role could write nothing',
            hint = 'Name at least one subject, such as game.billing.>; all of them are ''>''.';
    end if;
    foreach subject in array subjects loop
        sample := (select string_agg(
                       case when token = '*' or token = '>' and n = last then 'x' else token end, '.' order by n)
                   from (select token, n, count(*) over () as last
                         from unnest(string_to_array(subject, '.')) with ordinality as t (token, n)) as tokens);
        begin
            if (coalesce(sample, '')::outbox.event_subject = '') is not false then
                raise check_violation;
            end if;
        exception when check_violation then
            raise exception using errcode = 'invalid_parameter_value',
                message = format('subjects has %L, which is no subject of NATS', subject),
                hint = 'Tokens are separated by single dots; * stands for one token, and > for one or more at the end.';
        end;
        patterns := patterns || (
            select string_agg(
                case token when '*' then '[^.]+' when '>' then '.+'
                    else regexp_replace(token, '([][\\.^$*+?(){}|])', '\\\1', 'g') end,
                '\.' order by n)
            from unnest(string_to_array(subject, '.')) with ordinality as t (token, n));
    end loop;

    delete from outbox.confined_writers as writer
    where writer.role = grant_writer.role or not exists (select from pg_roles where oid = writer.role);
    if '>' = any (subjects) then
        execute format('revoke usage on type outbox.confined from %s', role);
        execute format('revoke select on outbox.confined_writers from %s', role);
        perform outbox.grant_writer(role);
        return;
    end if;

    for attempt in 1..100 loop
        exit when exists (select from pg_trigger
                          where tgrelid = 'outbox.events'::regclass and tgname = 'confine' and tgenabled in ('O', 'A'));
        begin
            -- Whoever may fit triggers to the table, its owner above all, could remove this one.
            create or replace trigger confine after insert on outbox.events for each row
                when (has_type_privilege('outbox.confined'::regtype, 'usage')
                      and not has_table_privilege('outbox.events'::regclass, 'trigger'))
                execute function outbox.confine();
            alter table outbox.events enable trigger confine;
        exception when lock_not_available then
            if attempt = 100 then
                raise exception using errcode = 'lock_not_available',
                    message = 'transactions held outbox.events all the time';
            end if;
            perform pg_sleep(0.1);
        end;
    end loop;
    execute format('grant usage on type outbox.confined to %s', role);
    execute format('grant select on outbox.confined_writers to %s', role);
    perform outbox.grant_writer(role);
    insert into outbox.confined_writers (role, subjects, pattern)
    values (grant_writer.role, grant_writer.subjects, '^(' || array_to_string(patterns, '|') || ')$');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function outbox.revoke_writer(role regrole) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('revoke insert (event_id, subject, key, headers, payload) on outbox.events from %s', role);
    execute format('revoke execute on function outbox.publish(text, jsonb, text, jsonb, uuid) from %s', role);
    execute format('revoke execute on function outbox.publish_bytes(text, bytea, text, jsonb, uuid) from %s', role);
    execute format('revoke usage on type outbox.confined from %s', role);
    execute format('revoke select on outbox.confined_writers from %s', role);
    delete from outbox.confined_writers as writer where writer.role = revoke_writer.role;
end
$$;
-- +goose StatementEnd

revoke all on function outbox.grant_writer(regrole, text[]) from public;
revoke all on function outbox.revoke_writer(regrole) from public;
comment on function outbox.grant_writer(regrole, text[]) is
    'Gives a role what a game service needs, for events with these subjects only. Run again it replaces the subjects; ''>'' stands for all. Example: select outbox.grant_writer(''billing'', subjects => array[''game.billing.>'', ''game.*.paid''])';
comment on function outbox.revoke_writer(regrole) is
    'Takes from a role what outbox.grant_writer gave it, but for the right to use the schema, which others may have given too. Example: select outbox.revoke_writer(''billing'')';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    if current_setting('outbox.drop_rows', true) is distinct from 'on'
        and exists (select from outbox.confined_writers) then
        raise exception 'outbox.confined_writers holds roles that may write some subjects only'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Revoke them with outbox.revoke_writer(role), or force the step to lift the limits.';
    end if;
    -- Writers that are busy are not kept waiting for this lock for long: rather it fails and can be tried again.
    set local lock_timeout = '3s';
    drop trigger if exists confine on outbox.events;
end
$$;
-- +goose StatementEnd

drop function outbox.revoke_writer(regrole);
drop function outbox.grant_writer(regrole, text[]);
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
drop function outbox.confine();
drop table outbox.confined_writers;
drop type outbox.confined;
