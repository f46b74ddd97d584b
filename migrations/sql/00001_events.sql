-- The table of events, and the rules that refuse in the writer's own transaction what could never be published.
--
-- The rules are domains, and each CHECK of the table casts its column to one. Postgres parses the CHECKs of a table anew for
-- every INSERT statement, but keeps the rules of a domain ready in each connection: measured, an insert pays about half as
-- much for its rules. It also lets a later release change a rule without a lock on the table.
-- They list code points, and name no character class, so that no locale changes their meaning. The Go package
-- outbox has the same rules under the same names, and one table of cases is run against both.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    if to_regtype('outbox.event_subject') is null then
        -- Whitespace and control characters of Unicode, and U+200B and U+FEFF, which are spaces by name and cannot be seen.
        create domain outbox.event_subject as text collate "C"
            constraint subject_1_to_255_bytes check (octet_length(value) between 1 and 255)
            constraint subject_without_empty_tokens check (value !~ '^\.|\.\.|\.$')
            constraint subject_without_spaces_or_wildcards check (
                value !~ '[\x01- \x7f-\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff*>]');
    end if;

    if to_regtype('outbox.event_key') is null then
        -- The key travels as a header, whose parsers cut spaces off at both ends.
        create domain outbox.event_key as text collate "C"
            constraint key_1_to_255_bytes check (octet_length(value) between 1 and 255)
            constraint key_without_control_characters check (value !~ '[\x01-\x1f\x7f-\x9f]')
            constraint key_without_outer_spaces check (value !~ '^ | $');
    end if;

    if to_regtype('outbox.event_headers') is null then
        -- Names are tokens of RFC 9110, section 5.6.2, as nats.go requires too. A line break in a value would forge a header.
        -- nats.go and HTTP cut spaces and tabs off a value at both ends.
        create domain outbox.event_headers as jsonb
            constraint headers_object check (jsonb_typeof(value) = 'object')
            constraint headers_max_32_kib check (octet_length(value::text) <= 32768)
            constraint headers_names_valid_and_not_reserved check (not value @? 'strict $.keyvalue() ? (
                !(@.key like_regex "^[-!#-\u0027*+.0-9A-Z^-z|~]+$")
                || @.key like_regex "^([Nn][Aa][Tt][Ss]|[Oo][Uu][Tt][Bb][Oo][Xx])-")')
            -- One rule and not three, for each walks through the object again. Without strict, an array would count as its elements.
            constraint headers_values_strings_no_controls_no_outer_spaces check (not value @? 'strict $.* ? (
                @.type() != "string"
                || @ like_regex "^[ \\x09]|[ \\x09]$|[\\x01-\\x08\\x0a-\\x1f\\x7f-\\x9f]")');
    end if;

    if to_regtype('outbox.event_payload') is null then
        create domain outbox.event_payload as bytea
            constraint payload_max_1_mib check (octet_length(value) <= 1048576);
    end if;
end
$$;
-- +goose StatementEnd

-- The primary key is the only index on purpose: each further one costs every transaction that writes an event. Nothing
-- looks an event up by its event_id here, and the broker drops duplicates.
create table if not exists outbox.events (
    id         bigint generated always as identity (sequence name outbox.events_id_seq cache 1) primary key,
    event_id   uuid        not null default gen_random_uuid(),
    subject    text        not null,
    key        text,
    headers    jsonb,
    payload    bytea       not null,
    created_at timestamptz not null default clock_timestamp(),

    -- The casts do the work: they raise the error. What is compared afterwards only has to be true, or null for null.
    constraint events_subject_valid check (subject::outbox.event_subject <> ''),
    constraint events_key_valid     check (key::outbox.event_key <> ''),
    constraint events_headers_valid check (jsonb_typeof(headers::outbox.event_headers) = 'object'),
    constraint events_payload_valid check (octet_length(payload::outbox.event_payload) >= 0)
);

comment on table outbox.events is
    'Events that wait to be published. A row appears when its transaction commits and goes when the broker has acknowledged it. Write with outbox.publish() or the Go package outbox.';
comment on column outbox.events.id is
    'The order in which events are published. Drawn by the database, never set by a writer. It says nothing about identity: see event_id.';
comment on column outbox.events.event_id is
    'Identifies the event for consumers and is the dedup id at the broker. A writer may supply it.';
comment on column outbox.events.subject is
    'Where the event goes: 1 to 255 bytes, tokens separated by single dots, no spaces, control characters, * or >.';
comment on column outbox.events.key is
    'Ordering key: events with the same key are published in the order of id. Null means that no order is promised.';
comment on column outbox.events.headers is
    'A JSON object of strings, sent as headers. Names are tokens of RFC 9110 that do not start with Nats- or Outbox-.';
comment on column outbox.events.payload is
    'Sent byte for byte. At most 1 MiB; may be empty.';
comment on column outbox.events.created_at is
    'When the row was inserted, by the clock of the database.';

comment on domain outbox.event_subject is
    'Rules for outbox.events.subject: 1 to 255 bytes; tokens separated by single dots, none empty; no whitespace, control characters, * or >.';
comment on domain outbox.event_key is
    'Rules for outbox.events.key: 1 to 255 bytes, no control characters, no space at either end. No key is null, not the empty string.';
comment on domain outbox.event_headers is
    'Rules for outbox.events.headers: a JSON object of at most 32 KiB as text; names are tokens of RFC 9110 that do not start with Nats- or Outbox-; values are strings without control characters other than tab, and without spaces or tabs at either end.';
comment on domain outbox.event_payload is
    'Rules for outbox.events.payload: at most 1048576 bytes (1 MiB). Empty is allowed.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- +goose StatementBegin
do $$
begin
    -- Writers that are busy are not kept waiting behind this lock for long: rather it fails and can be tried again.
    set local lock_timeout = '3s';
    lock table outbox.events in access exclusive mode;
    if current_setting('outbox.drop_rows', true) is distinct from 'on' and exists (select from outbox.events) then
        raise exception 'outbox.events holds events that were not published yet'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Let the relay publish them first, or force the step to lose them.';
    end if;
    drop table outbox.events;
end
$$;
-- +goose StatementEnd
drop domain outbox.event_payload;
drop domain outbox.event_headers;
drop domain outbox.event_key;
drop domain outbox.event_subject;
