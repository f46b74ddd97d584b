create schema demo_game;

create table demo_game.players (
    id     integer primary key,
    level  integer not null default 1,
    gold   bigint  not null default 1000,
    wins   integer not null default 0,
    events bigint  not null default 0 -- how many events of the player were committed
);

-- What happened to a player, written in the transaction that did it.
create table demo_game.history (
    event_id  uuid    primary key,
    player_id integer not null references demo_game.players,
    seq       bigint  not null,
    name      text    not null,
    unique (player_id, seq)
);

insert into demo_game.players (id) select generate_series(1, 100);
