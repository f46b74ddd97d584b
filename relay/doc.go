// Package relay is the engine: it reads committed events from outbox.events, publishes them in order through a
// [Publisher], and settles the outcome back to Postgres.
//
// # One rule
//
// A row in outbox.events that no receipt covers is an event still to publish. Nothing else decides: no cursor, no stored
// position. Whatever the relay forgets in a crash costs a second look at the table, never an event.
//
// # The path of a batch
//
//	outbox.events                                              the broker
//	     |                                                         ^
//	     v                                                         |
//	+---------+   batch    +----------+   Publish, one at a time   |
//	| reader  | ---------> | dispatch | ---------------------------+
//	+---------+            +----------+
//	  ahead                     |  settlement
//	                            v
//	                       +---------+   receipt, or move to outbox.dead_letters
//	                       | settler | ------------------------------> Postgres
//	                       +---------+                                    ^
//	                          behind                                      | receipts and rows, after the retention
//	                                                                  +-------+
//	                                                                  | purge |
//	                                                                  +-------+
//
// Only reading (ahead) and settling (behind) overlap with publishing, so nothing overtakes inside a key. At most three
// batches are in memory.
//
// # Who leads
//
// Of the relays of one outbox, the one that has the lease publishes; the others stand by. The lease is the row outbox.lease.
//
//	                 free, or expired: term + 1                               stop
//	connecting --> standby ------------------> leading -----------------------------> stopping
//	  ^  ^  |         ^                     reconcile, then                  finishes the batch, settles, and
//	  |  |  |         |                     publish; renews                  frees the lease with a notification
//	  |  |  |         |                       ^  |  |  |
//	  |  |  |         +---- another has it ---|--+  |  | a session fails: the lease is freed
//	  |  |  +---- renewed, nobody had it -----+     |  | everything is read again: it is kept
//	  |  +------- own clock: not renewed in time ---+  |
//	  +------------------------------------------------+
//
// The database's clock alone says when a lease has expired: it is taken for relay.lease and renewed every fifth of that. The leader
// has a fence: the moment at which it asked, plus the lease, less a tenth, by the clock of its host since boot
// ([sinceBoot]). Behind the fence it publishes nothing: no Publish begins, and of the one under way, and of what a client library has in
// its buffers, not a byte is written any more ([MaySend]). The database counted from a later moment than the leader, so the fence always
// comes first, by at least the tenth.
//
// Behind the fence the leader goes on asking. While the row has its name and its term, nobody else has led, so what it has in memory
// is still true: once the lease is renewed it publishes on. A database or a host that has too much to do renews late, and would have more
// to do for each session that begins anew. Once another relay has led, what was in memory is dropped, and the relay stands by. What a
// Publish left open is sent again only for as long as the stream remembers it, counted from the beginning of that Publish: after a long
// pause a new session looks into the stream first.
//
// What that rests on:
//   - The clocks of the two hosts run alike to within a tenth: real ones do to within a thousandth. What time they show does not matter, nor
//     that somebody sets it. If the database's clock is put back, a lease looks valid for longer; a standby that has seen the same one
//     for as long as it grants, by its own clock since boot, takes it all the same. If it is put forward, or Postgres is
//     split, two relays lead for a moment, see below.
//   - A process that is paused (SIGSTOP, a host that sleeps) finds the fence behind it when it wakes. A virtual machine whose clocks
//     all stand still while the world goes on does not see that, and is the case of two leaders.
//   - Between the look at the fence and the system taking the bytes lies less than the tenth, unless the process is paused right there, in
//     some ten nanoseconds of each write; and what the system has taken by then reaches the broker within the tenth. What comes later all
//     the same is dropped by the broker's duplicate window, unless the pause was longer than that too.
//
// Two leaders for a moment do no harm: both publish the same events with the same ids in the same order, so the broker keeps the first of
// each. What a leader without its lease asks of Postgres is refused there: every statement that changes something names the term
// (sql/settings.sql). Without that, it could settle the stream beyond events of its successor (outbox.positions), give a receipt for what
// its successor knows to be lost, bury what its successor publishes, or take receipts back that are new. The purge could do no harm: what
// is old is old under any term.
//
// Nothing of this needs a session. Behind a pooler that gives each transaction another one, statements are sent unnamed, settings
// hold for one transaction, and instead of listening a standby asks more than once a second. There Postgres can fail over although no
// connection breaks: each statement names the server that the session began with, and another one refuses it.
//
// A standby uses one connection, and closes others that it needed while it led after half a minute.
//
// A relay without a broker ([Placeholder]) stays outside all of this, in the state unconfigured: it takes no lease and changes
// nothing.
//
// An older relay, which leads by an advisory lock, knows nothing of leases. While it runs beside this one both may lead, until its
// next session, which refuses the new schema. The broker's duplicate window makes one of two, for both send each event within
// moments of each other.
//
// # Reading without missing a late commit
//
// Ids are drawn before commit, so a lower id can become visible after a higher one. The reader keeps a head, reads the
// rows after it (id > head) in primary-key order, and remembers the ids that it passed without a row as gaps (see the
// type gaps). A round is a sequence of statements, each with a snapshot of its own:
//
//  1. the rows after the head;
//  2. if there are new gaps, the writers: the transactions that hold the sequence's lock, which each of them takes
//     before it draws an id and holds to after its end, with their transaction ids;
//  3. the gaps that may have been filled since they were last looked at: the new ones, and those of owners that have
//     ended;
//  4. of the owners of the other gaps, which have ended. If any has, its gaps are added and step 3 is done again.
//
// What 1 and 3 found is merged by id and handed out. If a limit cut step 3 short, that goes up to
// the first gap it left, and the rest waits for the next round. A gap is closed once all writers
// that were first listed with it have ended and a later look has found it empty. An open
// transaction delays only itself: only its gaps wait, and they cost one small statement a round,
// however many they are.
//
// Why nothing overtakes. Let a round hand out row b of key K, and let a be an earlier row of K: of b's transaction, or
// of one that had committed before b's transaction could draw (the rule for users: draw after locking what changes).
// So a has the lower id, and every snapshot that sees b sees a. The snapshot of step 4 is the latest, so it sees both.
// Row a was handed out before, is among the rows of step 1 or 3, or lies in a gap that step 3 did not look at. The last
// is impossible: the transaction of a drew before that gap was found, so it is among its owners, and
//   - if it was not listed any more, it had ended before the list, so step 3 looked at its gaps;
//   - if it was listed with its id, step 4 found that it has ended, and step 3 was done again with its gaps;
//   - if it was listed without an id, the gaps of such writers are looked at in every round.
//
// The list alone does not decide, for a commit is visible before its locks go: a listed writer may have committed. Such
// a writer can even seem to have no id: of its locks, that on its id may go first. Were the gaps read before the rows
// after the head, an event could become visible in between and be overtaken by its successor.
// TestGapsInASimulatedDatabase runs this protocol against all orders of these steps; TestOrderWithinATransaction runs
// the reader against Postgres.
//
// If more than 65,536 gaps wait, they are given up: memory is bounded. Then the end of each of
// their owners makes the reader look for their rows among all ids at or below the head before it
// hands anything out. Of an owner without a known id that end shows only in the list: in those
// microseconds a row of such a gap may be overtaken.
//
// A new session begins at the last id that a receipt covers, and takes what lies between the receipts for gaps:
// acknowledged rows that are retained are not read again, however many they are.
//
// Periodically a sweep looks for unreceipted rows at or below the head. It should find none: a metric counts them.
//
// # Waking up
//
// A relay that sleeps is woken by the commit of an event, and one that is awake costs writers no
// notification, which would make the commits of the whole server wait for each other. Between them
// stands the sequence outbox.waker, which changes at once and not at a commit, and which writers
// may only read. Its value is the server's process in which the reader sleeps, or 1:
//
//	writer (trigger ring on outbox.events)         reader (see the type bell)
//	---------------------------------------------  -------------------------------------------------------------
//	draws an id: it holds the lock on that         finds nothing: sets the waker to its own process
//	  sequence until its commit is visible         lists who holds the lock: only those may have read 1. It looks
//	reads the waker                                  by itself until they have ended, and once more after that
//	1: the reader is awake                         then waits for notifications alone while it finds nothing
//	else: its commit notifies
//
// Woken, the reader publishes and sleeps on: the waker stays set, so what is committed next
// notifies too. It is set back when the reader is woken so often that it hardly sleeps, and when it
// could do nothing if it were woken, because the publish loop is busy. A process that has ended is
// noticed by the next commit, which sets the waker back. A former leader cannot set it, and sets
// back only its own.
//
// It is a way to be early, and never the only one: a reader that sleeps looks every five seconds. If it finds an event then that nobody
// announced (somebody has disabled the trigger, or the server's queue of notifications is half full, when none is added), it polls for a
// minute at least. It polls all the time where a session is not its own (a pooler), and where max_prepared_transactions is not 0, for
// PREPARE TRANSACTION refuses a transaction that has notified.
//
// Anybody may notify. Where notifications exceed the events by more than a few (the type excess), the reader names the
// sender, stops listening, and polls for a minute. What a notification carries is never kept (the type heard).
//
// # Row security
//
// A row that row security hides is an event that is never published, a lease that no relay has, or a receipt that was
// never written. The relay's sessions have row_security off, so a statement fails before it misses a row. A look every
// two seconds names the tables and the remedy (sql/hidden.sql).
//
// # Making Postgres and the stream agree
//
// With every receipt the relay writes the place that the stream had reached (outbox.positions). Before a new leader reads
// its first event, it compares that with the stream as it is (see [Ledger]):
//
//	the stream                        the relay
//	--------------------------------  -------------------------------------------------------------------------
//	ends at the place                 goes on
//	goes on behind it                 reads that part, headers only: events whose rows it finds get their receipt, for
//	                                  an earlier relay published them without settling
//	ends before it, or is another     has lost events. Their receipts are void, so that they are events to publish
//	                                  again; what of them is in the stream after all gets its receipt anew
//	begins after receipts, and no     was purged by hand: the same, once the stream has forgotten their ids, for
//	limit of its own can have         within its duplicate window it would drop them
//	removed that (see kept)
//	begins after receipts, and a      may have removed them after they were delivered: they are left to a person
//	limit can have removed that
//
// The publisher watches the stream from then on: once it does not go on from where it was, nothing is published
// ([ErrRewound]), and the session begins anew with this comparison.
//
// # Ids that are drawn again
//
// An id does not name an event: TRUNCATE ... RESTART IDENTITY, a setval, a restore or a promoted standby hand out the same
// ids again. A receipt names its events by id and event_id, and covers a row only if it has both. The purge deletes by
// event_id, so a row that only has the id of a receipt stays, and is an event to publish.
//
// Comparing each retained row would be slow, so the ids of a receipt count by themselves as long as they cannot have been
// drawn again. Each statement that reads events checks three facts (sql/unchanged.sql); if one fails the statement returns
// nothing, and a new session begins. The first is read as it is now, not in the statement's snapshot; the lock on the table
// keeps the two together for all that changes the table. After ALTER SEQUENCE RESTART alone the next statement finds it.
//
//	fact                                                 changed by
//	---------------------------------------------------  ----------------------------------------------------------
//	the generation: the files of outbox.events and its   TRUNCATE, RESTART, DROP, a restore; also VACUUM FULL, CLUSTER
//	  sequence are the same
//	the last id drawn is not below the head              setval to a lower id
//	the row at the head, if it is still there, has the   setval, once writers have passed the head again: an id that is
//	  event_id that was read                               drawn again is followed by all ids after it
//
// A receipt keeps the generation in which its events were read. A new session compares the receipts of other generations
// with the rows, once, and all of them if the sequence was set back or the rows at the ends of the newest receipts are not
// the acknowledged ones (sql/prove_receipts.sql). What matches gets the present generation: a VACUUM FULL or a restore of the
// whole database sends nothing again. What does not match covers no id any more, but stays until its retention is over: where
// the rows are put back, they are recognised by their event_id (sql/acknowledged.sql). The sweep repeats the check of the
// newest receipts. What escapes all of this, as ids that are drawn again under old receipts after their rows were deleted by
// hand, is left in the table by the purge, and found by the next sweep.
//
// # Two brokers
//
// A publisher may stand for a primary and a fallback (see [Switcher]). Which of them is used changes between two sessions only. Events
// that went to the fallback have receipts of that broker. Where they are to be rehomed, those receipts and their rows stay until the
// primary is used again; then the receipts are taken back, and the rows are what every row without a receipt is: events to publish,
// in the order of ids, before newer ones. outbox.rehomes remembers which they were, for they are marked ([Event].Rehomed).
// Receipts of a broker that is not configured any more stay too, see [Options].PurgeForeign.
//
// # Sharing out
//
// Processes that each run a relay for every one of several outboxes share them out evenly ([Share]); nobody coordinates. The owner of a
// lease tells in outbox.sharing how many its process leads. A process that leads at least two fewer asks there for that lease, for one at a
// time, and repeats it while it waits. The owner hears it when it next renews: if it still leads at least two more, and gives nothing
// else away, it stops as at a clean stop, settles what it has in flight, and makes the lease over to the one that asked; that one has
// two seconds to take it before it is anybody's. Each gift makes the loads more equal, so it ends with a difference of one at
// most. The rest goes on meanwhile: an outbox pauses only while it changes hands. A process of whose outboxes none can be published asks for no
// more, for that may be its own fault.
//
// # What a failure leads to
//
//	the publisher says           the relay does
//	---------------------------  ------------------------------------------------------------------------------
//	Stored                       settles: a receipt, and after the retention the row leaves the table
//	Err: PermanentError          moves the event to outbox.dead_letters; nobody waits, or its key is held, see AfterDeadLetter
//	Err: ThrottledError          the event's key waits RetryAfter; no attempt is spent
//	Err: ErrMisconfigured        the event is set aside with its key (see type aside), and one of its subject is tried
//	                             every few seconds; no attempt is spent; status warns, and the relay is ready
//	Err: anything else           the event's key waits (backoff with jitter); an attempt is spent, but only if the
//	                             broker has stored something since the last one; after MaxAttempts a dead letter
//	nothing, error Unavailable   the same events again after a pause; no attempt is spent
//	nothing, error Misconfigured the same after a longer pause; not ready, and the log says what to change
//	nothing, error Throttled     the same after RetryAfter
//	nothing, anything else       ambiguous: the same events with the same ids, half as many a call, down to one, so
//	                             that an event which breaks the call is found out and delays its own key alone.
//	                             With a fallback, a [StalledError] that lasts leads to it, see publishers/failover
//	nothing, error ErrRewound    a new session, which deals with what the stream has lost
//	nothing, error ErrSwitched   a new session, which uses the other broker
//	the database fails           a new session, and everything is read again that is not settled
//	the lease is not renewed     nothing more is published until it is
//	another relay has the lease  nothing more is published; the relay stands by
//	a loop stands still          not ready; nothing more is published, and the lease expires (see type loops)
//	the logger blocks            lines are dropped and counted; publishing goes on
//	stop                         no more reading; the call in flight may end; what was acknowledged is settled
package relay
