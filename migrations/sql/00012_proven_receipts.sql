-- A receipt names the events that were acknowledged, and not their ids alone: ids are drawn again after a TRUNCATE ... RESTART IDENTITY,
-- a setval or a restore.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- Both are null in receipts of an older relay; the next one fills them in. External storage, for random bytes cannot be compressed.
alter table outbox.receipts add column if not exists event_ids uuid[];
alter table outbox.receipts alter column event_ids set storage external;
alter table outbox.receipts add column if not exists generation bigint;

comment on column outbox.receipts.ids is 'The ids of the acknowledged events in outbox.events, those alone.';
comment on column outbox.receipts.event_ids is
    'The event_ids of the acknowledged events, in the order of ids. A row with one of the ids and another event_id was not acknowledged: it is an event to publish.';
comment on column outbox.receipts.generation is
    'Names the files of outbox.events and its sequence as they were when the events were read. Whatever empties, rewrites or restores the table, or restarts the sequence, replaces a file. The ids of a receipt with another generation are compared with the rows before they count.';

-- It is part of statements that read many receipts, so Postgres must be able to inline it: one query, no settings.
-- +goose StatementBegin
create or replace function outbox.acknowledged(ids int8multirange, event_ids uuid[]) returns table (id bigint, event_id uuid)
    language sql immutable parallel safe
begin atomic
    select pair.id, pair.event_id
    from unnest(array(select generate_series(lower(span), upper(span) - 1) from unnest(ids) as span), event_ids) as pair (id, event_id)
    where pair.id is not null;
end;
-- +goose StatementEnd

comment on function outbox.acknowledged(int8multirange, uuid[]) is
    'The acknowledged events of a receipt. Example: select a.* from outbox.receipts as r, outbox.acknowledged(r.ids, r.event_ids) as a';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

drop function outbox.acknowledged(int8multirange, uuid[]);
alter table outbox.receipts drop column generation, drop column event_ids;
comment on column outbox.receipts.ids is 'The ids of the events in outbox.events, those alone.';
