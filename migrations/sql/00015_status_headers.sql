-- Headers named Status and Description are refused, in any case of letters.
--
-- NATS servers talk to clients in messages without data that have these headers. A client takes an
-- event with such a header for a word of the server, and drops it or ends its consumer. A reader of
-- headers alone gets no data of any event. Events that are in the table already become dead
-- letters.

-- +goose Up
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- No column has the domain as its type, so no row is looked at, and no lock on the table is needed.
alter domain outbox.event_headers drop constraint if exists headers_names_valid_and_not_reserved;
alter domain outbox.event_headers
    add constraint headers_names_valid_and_not_reserved check (not value @? 'strict $.keyvalue() ? (
        !(@.key like_regex "^[-!#-\u0027*+.0-9A-Z^-z|~]+$")
        || @.key like_regex "^([Nn][Aa][Tt][Ss]|[Oo][Uu][Tt][Bb][Oo][Xx])-"
        || @.key like_regex "^([Ss][Tt][Aa][Tt][Uu][Ss]|[Dd][Ee][Ss][Cc][Rr][Ii][Pp][Tt][Ii][Oo][Nn])$")');

comment on column outbox.events.headers is
    'A JSON object of strings, sent as headers. Names are tokens of RFC 9110 that do not start with Nats- or Outbox- and are not Status or Description.';
comment on domain outbox.event_headers is
    'Rules for outbox.events.headers: a JSON object of at most 32 KiB as text; names are tokens of RFC 9110 that do not start with Nats- or Outbox- and are not Status or Description; values are strings without control characters other than tab, and without spaces or tabs at either end.';

-- +goose Down
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

alter domain outbox.event_headers drop constraint headers_names_valid_and_not_reserved;
alter domain outbox.event_headers
    add constraint headers_names_valid_and_not_reserved check (not value @? 'strict $.keyvalue() ? (
        !(@.key like_regex "^[-!#-\u0027*+.0-9A-Z^-z|~]+$")
        || @.key like_regex "^([Nn][Aa][Tt][Ss]|[Oo][Uu][Tt][Bb][Oo][Xx])-")');

comment on column outbox.events.headers is
    'A JSON object of strings, sent as headers. Names are tokens of RFC 9110 that do not start with Nats- or Outbox-.';
comment on domain outbox.event_headers is
    'Rules for outbox.events.headers: a JSON object of at most 32 KiB as text; names are tokens of RFC 9110 that do not start with Nats- or Outbox-; values are strings without control characters other than tab, and without spaces or tabs at either end.';
