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
// [Publish] takes a pgx transaction, pool or connection; [PublishSQL] takes a *sql.Tx, *sql.DB or *sql.Conn. Both take any number of
// events and need one round trip for all of them. Events are written in the order of the arguments.
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
