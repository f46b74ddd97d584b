// Package outbox writes events into the outbox table, in the transaction that changes the data they tell of. A relay
// publishes them after the commit. So an event exists if, and only if, its transaction was committed, and a broker that is
// down never makes a transaction fail or wait.
//
// The whole use, but for the handling of errors:
//
//	type PlayerLevelUp struct {
//		PlayerID int64 `json:"player_id"`
//		Level    int   `json:"level"`
//	}
//
//	func (PlayerLevelUp) EventName() string  { return "game.player.level_up" }            // the subject
//	func (e PlayerLevelUp) EventKey() string { return fmt.Sprint("player:", e.PlayerID) } // optional: the order
//
//	tx.QueryRow(ctx, "update players set level = level + 1 where id = $1 returning level", id).Scan(&level)
//	err := outbox.Publish(ctx, tx, PlayerLevelUp{PlayerID: id, Level: level})
//
// [Publish] takes a pgx.Tx, and [PublishSQL] takes a *sql.Tx. Both take any number of events and need
// one round trip for all of them. Events are written in the order of the arguments.
//
// # Transactions
//
// A pool or a connection commits each statement by itself: an event that is written with it stays
// when the transaction around the call rolls back. So Publish and PublishSQL take transactions alone.
// A *pgxpool.Pool, a *sql.DB and a connection do not compile, and a transaction that has ended is an
// error. An event that belongs to no transaction has functions that say so, [PublishOutsideTx] and
// [PublishSQLOutsideTx]:
//
//	err := outbox.PublishOutsideTx(ctx, pool, ServerStarted{Region: "eu"})
//
// # gorm, bun, sqlx and sqlc
//
// Each of them can hand out its transaction. gorm keeps it in tx.Statement.ConnPool. Do not use
// tx.DB(): it returns the pool, inside a transaction too. This function works with PrepareStmt, in
// nested transactions and in hooks:
//
//	func publish(tx *gorm.DB, events ...outbox.Event) error {
//		sqlTx, ok := tx.Statement.ConnPool.(outbox.SQLTx)
//		if !ok {
//			return errors.New("publish: this *gorm.DB is not in a transaction")
//		}
//		return outbox.PublishSQL(tx.Statement.Context, sqlTx, events...)
//	}
//
//	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
//		if err := tx.Model(&player).Update("level", 7).Error; err != nil {
//			return err
//		}
//		return publish(tx, PlayerLevelUp{PlayerID: player.ID, Level: 7})
//	})
//
// bun has it in tx.Tx. Its tx compiles too, but fails with "there is no parameter $1", for bun
// formats queries itself and passes no arguments on:
//
//	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
//		if _, err := tx.NewUpdate().Model(&player).Column("level").WherePK().Exec(ctx); err != nil {
//			return err
//		}
//		return outbox.PublishSQL(ctx, tx.Tx, PlayerLevelUp{PlayerID: player.ID, Level: player.Level})
//	})
//
// The transaction of sqlx can be passed as it is:
//
//	tx, err := db.BeginTxx(ctx, nil)
//	if err != nil {
//		return err
//	}
//	defer tx.Rollback()
//	if _, err := tx.NamedExecContext(ctx, "update players set level = :level where id = :id", player); err != nil {
//		return err
//	}
//	if err := outbox.PublishSQL(ctx, tx, PlayerLevelUp{PlayerID: player.ID, Level: player.Level}); err != nil {
//		return err
//	}
//	return tx.Commit()
//
// With sqlc, pass what WithTx gets: to Publish for pgx/v5, to PublishSQL for database/sql. A DBTX
// does not compile, for it may be a pool:
//
//	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		level, err := queries.WithTx(tx).LevelUp(ctx, id)
//		if err != nil {
//			return err
//		}
//		return outbox.Publish(ctx, tx, PlayerLevelUp{PlayerID: id, Level: int(level)})
//	})
//
// # Events
//
// Any value with a method EventName is an [Event]: it is encoded as JSON, and its name is the subject. It may have further
// methods, one for each thing it wants to decide: see [Keyed], [Headered] and [Identified]. A [Raw] event carries
// bytes of any format.
//
// # Order
//
// Events with the same key are published in the order in which they were written. For that order to be the order of the
// changes, write the event after the statement that locks what it tells of:
//
//	tx.Exec(ctx, "update players set gold = gold - 10 where id = $1", id)     // takes the row lock
//	outbox.Publish(ctx, tx, GoldSpent{PlayerID: id, Amount: 10})              // then writes the event
//
// The other way round, a transaction could write its event first, wait for the lock, and change the row last.
//
// # Rules
//
// An event that could never be published is refused before any round trip, with a [*ValidationError]. The database has the
// same rules, under the same names, for writers in other languages. See [Rule].
//
// # Tracing
//
// Publish adds the W3C trace context of ctx to the headers of each event. [ContextWithTrace] puts one there; a [Writer] takes
// it from a tracing library. With OpenTelemetry:
//
//	var writer = outbox.Writer{TraceContext: func(ctx context.Context) (traceparent, tracestate string) {
//		carrier := propagation.MapCarrier{}
//		propagation.TraceContext{}.Inject(ctx, carrier)
//		return carrier["traceparent"], carrier["tracestate"]
//	}}
//
//	err := writer.Publish(ctx, tx, PlayerLevelUp{PlayerID: id, Level: level})
//
// # Rights and poolers
//
// All that the role of the service needs is given by: select outbox.grant_writer('role'). It needs no right to read.
// Every query mode of pgx works, so transaction poolers such as PgBouncer do too.
package outbox
