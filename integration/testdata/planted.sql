create schema planting;
create sequence planting.called minvalue 0;
create table planting.planted (number bigint generated always as identity primary key, signature text not null);
grant usage on schema planting to public;
grant usage, update on sequence planting.called to public;
-- next The types with which a parameter of a type may be called: of one that is polymorphic any, of
-- others those that are cast to it. A literal counts as text, if a function takes that.
create function planting.kinds(wanted oid) returns text[]
    language sql set search_path = pg_catalog
as $$
    select case
        when wanted in ('"any"'::regtype, 'anyelement'::regtype, 'anynonarray'::regtype, 'anycompatible'::regtype, 'anycompatiblenonarray'::regtype)
            then '{text,bigint,integer,uuid,jsonb,timestamptz,name,oid,boolean,bytea,interval,xid,float8,numeric}'::text[]
        when wanted in ('anyarray'::regtype, 'anycompatiblearray'::regtype) then '{bigint[],integer[],uuid[],text[],bytea[],timestamptz[]}'
        when wanted in ('anyrange'::regtype, 'anycompatiblerange'::regtype) then '{int8range}'
        when wanted in ('anymultirange'::regtype, 'anycompatiblemultirange'::regtype) then '{int8multirange}'
        when wanted = 'text'::regtype then '{text,name,varchar,regclass}'
        when wanted = 'bigint'::regtype then '{bigint,integer,text}'
        when wanted = 'numeric'::regtype then '{numeric,bigint,integer,text}'
        when wanted = 'float8'::regtype then '{float8,numeric,integer,text}'
        when wanted = 'oid'::regtype then '{oid,regclass,bigint,text}'
        else array[format_type(wanted, null), 'text']
    end
$$;
-- next
-- What a planted function returns, so that a statement that calls it can be parsed: null if that cannot be said.
create function planting.result(wanted oid, chosen text) returns text
    language sql set search_path = pg_catalog
as $$
    select case
        when wanted in ('anyelement'::regtype, 'anynonarray'::regtype, 'anycompatible'::regtype, 'anycompatiblenonarray'::regtype)
            then case when chosen in ('int8range', 'int8multirange') then 'bigint' else replace(chosen, '[]', '') end
        when wanted in ('anyarray'::regtype, 'anycompatiblearray'::regtype) then replace(chosen, '[]', '') || '[]'
        when wanted in ('anyrange'::regtype, 'anycompatiblerange'::regtype) then 'int8range'
        when wanted in ('anymultirange'::regtype, 'anycompatiblemultirange'::regtype) then 'int8multirange'
        when wanted = 'void'::regtype then 'void'
        when (select typtype from pg_type where oid = wanted) <> 'p' then format_type(wanted, null)
    end
$$;
-- next
create function planting.combinations(wanted oid[]) returns setof text[]
    language plpgsql set search_path = pg_catalog
as $$
declare
    found jsonb := '[[]]';
    kind oid;
begin
    foreach kind in array wanted loop
        select jsonb_agg(head || to_jsonb(tail)) into found
        from jsonb_array_elements(found) as head, unnest(planting.kinds(kind)) as tail;
    end loop;
    return query select array(select jsonb_array_elements_text(one)) from jsonb_array_elements(found) as one;
end
$$;
-- next
create function planting.plant(place text, names text[]) returns bigint
    language plpgsql set search_path = pg_catalog
as $$
declare
    f record;
    types text[];
    gives text;
    line bigint;
    label text;
begin
    for f in
        select distinct on (name, wanted) name, wanted, result, kind from (
            select p.proname::text as name, p.prorettype as result, 'function' as kind,
                   case when p.provariadic = 0 then p.proargtypes::oid[]
                        else (p.proargtypes::oid[])[1:p.pronargs - 1] || array_fill(p.provariadic, array[extra]) end as wanted
            from pg_proc as p
            cross join generate_series(1, 3) as extra
            where p.pronamespace = 'pg_catalog'::regnamespace and p.proname::text = any (names) and p.pronargs between 1 and 4
              and (p.provariadic <> 0 or extra = 1)
            union all
            select o.oprname::text, o.oprresult, 'operator', wanted
            from pg_operator as o
            -- A literal beside a value of another type counts as one of the same type.
            cross join lateral (values (array[o.oprleft, o.oprright]), (array[o.oprleft, o.oprleft]), (array[o.oprright, o.oprright])) as v (wanted)
            where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprname::text = any (names) and o.oprleft <> 0 and o.oprright <> 0
        ) as all_of_it
        where not exists (select from pg_type where oid = any (wanted) and typtype = 'p' and typname in ('internal', 'cstring', 'trigger', 'record', 'anyenum'))
          and cardinality(wanted) <= 4
    loop
        for types in select c from planting.combinations(f.wanted) as c limit 60 loop
            gives := planting.result(f.result, types[1]);
            continue when gives is null;
            continue when f.kind = 'operator' and exists (
                select from pg_operator where oprname::text = f.name and oprleft = types[1]::regtype and oprright = types[2]::regtype
                and oprnamespace in ('pg_catalog'::regnamespace, coalesce(to_regnamespace(place)::oid, 0)));
            label := format('%s %s (%s)', f.kind, f.name, array_to_string(types, ', '));
            insert into planting.planted (signature) values (label) returning number into line;
            begin
                execute format('create %s function %s.%I(%s) returns %s language plpgsql set search_path = pg_catalog as %L',
                    case when f.kind = 'function' then 'or replace' else '' end,
                    place, case when f.kind = 'function' then f.name else 'operator_' || line end, array_to_string(types, ', '), gives,
                    format('begin perform setval(''planting.called'', %s); raise exception ''planted %%'', %L; end', line, label));
                if f.kind = 'operator' then
                    execute format('create operator %s.%s (leftarg = %s, rightarg = %s, function = %s.%I)',
                        place, f.name, types[1], types[2], place, 'operator_' || line);
                end if;
            exception when invalid_function_definition or invalid_object_definition or duplicate_function then
                null; -- the same with another result is there
            end;
        end loop;
    end loop;
    return (select count(*) from planting.planted);
end
$$
-- next
-- Plants the comparisons that pg_catalog has of the same types.
create function planting.compare(place text) returns void
    language plpgsql set search_path = pg_catalog
as $$
declare
    kind text;
    sign text;
    line bigint;
begin
    foreach kind in array '{text,bigint,integer,uuid,timestamptz,interval,boolean,oid,name}'::text[] loop
        foreach sign in array '{=,<>,<,>,<=,>=}'::text[] loop
            insert into planting.planted (signature) values (format('operator %s (%s, %s)', sign, kind, kind)) returning number into line;
            execute format('create function %s.%I(%s, %s) returns boolean language plpgsql set search_path = pg_catalog as %L',
                place, 'operator_' || line, kind, kind,
                format('begin perform setval(''planting.called'', %s); raise exception ''planted %%'', %L; end', line, sign || ' of ' || kind));
            execute format('create operator %s.%s (leftarg = %s, rightarg = %s, function = %s.%I)', place, sign, kind, kind, place, 'operator_' || line);
        end loop;
    end loop;
end
$$
