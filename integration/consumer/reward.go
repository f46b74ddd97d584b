package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// LevelUp is the payload of game.player.level_up. Its level is what makes order certain: it says which event comes before it.
type LevelUp struct {
	PlayerID int64 `json:"player_id"`
	Level    int   `json:"level"`
}

const rewardSchema = `
create table if not exists players (
    player_id bigint primary key,
    level int not null default 0
);
create table if not exists rewards (
    id bigint generated always as identity primary key,
    player_id bigint not null,
    level int not null
);`

// reward is the effect: a player gets one reward for each level, in the order of the levels. Level 8 waits for level 7, which may
// lie in a broker that is away.
func reward(ctx context.Context, tx pgx.Tx, e Event) error {
	if !strings.HasSuffix(e.Subject, ".level_up") {
		return nil // of no concern to us
	}
	var up LevelUp
	if err := json.Unmarshal(e.Payload, &up); err != nil {
		return fmt.Errorf("%w: %w", errForeign, err)
	}
	var level int
	err := tx.QueryRow(ctx, `insert into players as known (player_id) values ($1)
		on conflict (player_id) do update set level = known.level returning level`, up.PlayerID).Scan(&level) // and lock
	switch {
	case err != nil:
		return err
	case up.Level <= level:
		return nil // seen so long ago that its id is forgotten
	case up.Level > level+1:
		return errEarly
	}
	if _, err := tx.Exec(ctx, "update players set level = $2 where player_id = $1", up.PlayerID, up.Level); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "insert into rewards (player_id, level) values ($1, $2)", up.PlayerID, up.Level)
	return err
}
