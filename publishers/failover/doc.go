// Package failover is a publisher that stands for two brokers: a primary, and a fallback that takes
// the events while the primary is out. It decides which of the two is used; the relay carries that
// out between two sessions, see [relay.Switcher].
//
//	                 the primary was unavailable at the first connection,
//	                 or has been for failover.after,
//	                 and the fallback is healthy
//	           +------------------------------------------------+
//	           |                                                v
//	      +---------+                                      +----------+
//	----> | primary |                                      | fallback |
//	      +---------+                                      +----------+
//	           ^                                                |
//	           +------------------------------------------------+
//	                 the primary has been healthy for failover.failback_after,
//	                 or it is healthy and the fallback is unavailable
//
// While both are out nothing changes, and events wait in Postgres: the first that is healthy again
// is used, the primary if both are.
//
// # What counts as an outage
//
// Errors that wrap [relay.ErrUnavailable], and streams that stand still ([relay.StalledError]). The
// clock of an outage starts with the first of them, and any other answer of the primary resets it:
// a stored event, a refusal, a request to slow down, a setting that it does not accept. A call that
// just takes too long is no answer, and neither starts the clock nor stops it. Where a publish
// began the outage, only a publish ends it, or a new session whose look into the stream succeeded:
// a server that answers questions does not necessarily store events.
//
// A stream stalls when a Publish gets no answer and the stream's last sequence stays where it was,
// as on a full disk. The clock counts from the beginning of that Publish. A second one must confirm
// it, and only a stored event ends it: no new session, and no refusal of one event. An event that
// got no answer while others were stored may be the cause itself, and is no sign of an outage any
// more. Nor is one whose subject does not reach the stream, which the publisher of JetStream finds
// out by itself.
//
// # What counts as healthy
//
// While the fallback is used, the primary is probed every second: it must connect, and where it is
// a [relay.Ledger], its stream must answer. One failure resets failback_after, so a primary that
// comes and goes causes no storm of switches.
//
// A primary that stalled must also store an event first, or its stream must have grown. For that it
// gets some events that it left without an answer and, if events are rehomed, some that the
// fallback has stored meanwhile: at most one of a key, the first that it has not stored. The relay
// finds them in the stream when the primary is used again. So no key gets out of order, and nothing
// is stored twice.
//
// # What a switch does
//
// The broker that is given up answers every call with [relay.ErrSwitched] from then on and sends
// nothing. The relay ends its session, begins another one, asks [Publisher.Use], and makes Postgres
// and that broker's stream agree before it reads the table anew. Whatever was in flight has no
// receipt then, and is published again with the same ids.
package failover
