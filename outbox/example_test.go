package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gameoutbox/relay/outbox"
)

// PlayerLevelUp is published as JSON under the subject that EventName returns.
type PlayerLevelUp struct {
	PlayerID int64 `json:"player_id"`
	Level    int   `json:"level"`
}

func (PlayerLevelUp) EventName() string  { return "game.player.level_up" }
func (e PlayerLevelUp) EventKey() string { return fmt.Sprint("player:", e.PlayerID) }

// The change and its event are committed together, or not at all.
func Example() {
	levelUp := func(ctx context.Context, pool *pgxpool.Pool, player int64) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			e := PlayerLevelUp{PlayerID: player}
			const update = "update players set level = level + 1 where id = $1 returning level"
			if err := tx.QueryRow(ctx, update, player).Scan(&e.Level); err != nil {
				return err
			}
			return outbox.Publish(ctx, tx, e)
		})
	}
	_ = levelUp
}

func ExamplePublish() {
	var tx pgx.Tx // from pool.Begin or pgx.BeginFunc
	publish := func(ctx context.Context) error {
		return outbox.Publish(ctx, tx,
			PlayerLevelUp{PlayerID: 42, Level: 7},
			outbox.Raw{Subject: "game.chat", Key: "room:1", Payload: []byte("hello"), Headers: map[string]string{"lang": "en"}},
		)
	}
	_ = publish
}

func ExamplePublishSQL() {
	var db *sql.DB
	publish := func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := outbox.PublishSQL(ctx, tx, PlayerLevelUp{PlayerID: 42, Level: 7}); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = publish
}

// ServerStarted tells of nothing in the database, so no transaction belongs to it.
type ServerStarted struct {
	Region string `json:"region"`
}

func (ServerStarted) EventName() string { return "game.server.started" }

func ExamplePublishOutsideTx() {
	var pool *pgxpool.Pool
	start := func(ctx context.Context) error {
		return outbox.PublishOutsideTx(ctx, pool, ServerStarted{Region: "eu"})
	}
	_ = start
}

// A service can check an event in its own tests, without a database.
func ExampleValidate() {
	err := outbox.Validate(PlayerLevelUp{PlayerID: 42}, outbox.Raw{Subject: "game player"})
	fmt.Println(err)

	if invalid, ok := errors.AsType[*outbox.ValidationError](err); ok {
		fmt.Println(invalid.Index, invalid.Field, invalid.Rule)
	}
	// Output:
	// outbox: event 1: subject "game player" is refused, allowed: UTF-8 text without spaces, control characters, * and >
	// 1 subject subject_without_spaces_or_wildcards
}

// An HTTP handler passes the trace context of its request on.
func ExampleContextWithTrace() {
	handler := func(_ http.ResponseWriter, r *http.Request) {
		ctx := outbox.ContextWithTrace(r.Context(), r.Header.Get("traceparent"), r.Header.Get("tracestate"))
		_ = ctx // begin the transaction and publish with ctx
	}
	_ = handler
}

func ExampleParseID() {
	id, err := outbox.ParseID("6BA7B810-9DAD-41D1-80B4-00C04FD430C8")
	fmt.Println(id, err)
	_, err = outbox.ParseID("42")
	fmt.Println(err)
	// Output:
	// 6ba7b810-9dad-41d1-80b4-00c04fd430c8 <nil>
	// outbox: "42" is not a UUID, such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8
}

// Redeemed has an id that is the same when the request is repeated, so that it is published once.
type Redeemed struct {
	Request outbox.ID `json:"request"`
	Code    string    `json:"code"`
}

func (Redeemed) EventName() string   { return "game.code.redeemed" }
func (r Redeemed) EventID() [16]byte { return r.Request }

func ExampleIdentified() {
	var _ outbox.Identified = Redeemed{}
	fmt.Println(outbox.Validate(Redeemed{Request: outbox.NewID(), Code: "WINTER"}))
	// Output: <nil>
}
