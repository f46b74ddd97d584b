package relay

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// reminderInterval is how often an error that goes on is logged again.
const reminderInterval = 30 * time.Second

// tracker keeps what a relay says of itself. All its methods may be called at any time, and none waits for a reader of the log or of
// the metrics: see [lineQueue].
type tracker struct {
	lines   *lineQueue
	metrics *metrics

	mu       sync.Mutex
	status   Status
	database map[string]*repeated // trouble with the database, by what was being done
	broker   brokerTrouble
	events   repeated  // trouble with single events
	answered time.Time // when the broker last answered, in whatever way
	kept     []string  // which events only a broker has that is not configured
	stalled  string    // which loop stands still; empty if none does
	awake    string    // which session keeps the relay from sleeping
	floods   map[flood]*flooding
	polling  string // why writers cannot wake the relay, as it was logged last; empty if they can
}

// repeated is an error that may go on for long: logged when it begins, now and then, and when it is over.
type repeated struct {
	err      error
	since    time.Time
	reminded time.Time
}

// begin notes err and reports whether it is to be logged now.
func (r *repeated) begin(err error, now time.Time) bool {
	if r.err == nil {
		r.since = now
	}
	r.err = err
	if now.Sub(r.reminded) < reminderInterval {
		return false
	}
	r.reminded = now
	return true
}

// end reports whether an error was going on, and for how long.
func (r *repeated) end(now time.Time) (time.Duration, bool) {
	if r.err == nil {
		return 0, false
	}
	lasted := now.Sub(r.since)
	*r = repeated{}
	return lasted, true
}

// brokerTrouble is trouble with the broker.
type brokerTrouble struct {
	repeated
	publishing bool // a Publish met it, so that a look at the broker does not end it while events wait
	stored     bool // an event was stored since
}

func newTracker(log *zap.Logger, m *metrics, name, broker string) *tracker {
	now := time.Now()
	return &tracker{
		lines: newLineQueue(log, m.logDropped), metrics: m,
		database: make(map[string]*repeated), floods: make(map[flood]*flooding),
		status: Status{
			Name: name, State: StateConnecting, Since: now,
			Broker: BrokerStatus{Name: broker, State: BrokerUnknown, Since: now},
		},
	}
}

func (t *tracker) enter(state State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status.State == state {
		return
	}
	t.metrics.onFallback.Set(0) // a session that begins says which broker it uses
	t.status.Blocked = nil
	t.change(state)
}

// change needs the lock.
func (t *tracker) change(state State) {
	t.status.State, t.status.Since = state, time.Now()
	t.metrics.leading.Set(float64(count(state == StateLeading)))
	t.lines.info("relay is "+string(state), zap.String("state", string(state)))
}

// standsBy notes that another relay leads. The troubles of a leader are over then, and what only a leader knows is not known any more.
func (t *tracker) standsBy() {
	t.databaseWorks(leading)
	t.delayed(0)
	t.metrics.openGaps.Set(0)
	t.mu.Lock()
	clear(t.database)
	t.kept, t.awake = nil, ""
	t.broker = brokerTrouble{}
	if t.status.Broker.State != BrokerUnknown {
		t.status.Broker = BrokerStatus{Name: t.status.Broker.Name, State: BrokerUnknown, Since: time.Now()}
	}
	t.mu.Unlock()
	t.backlogUnknown()
	t.enter(StateStandby)
}

// backlogUnknown notes that this relay measures the backlog no more, because another one publishes.
func (t *tracker) backlogUnknown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Backlog, t.status.HeldKeys, t.status.HeldEvents = Backlog{}, 0, 0
}

// loopStalled notes that a loop stands still, and that this relay gives its lease up.
func (t *tracker) loopStalled(loop string, limit time.Duration) {
	t.metrics.stalls.WithLabelValues(loop).Inc()
	t.mu.Lock()
	t.stalled = fmt.Sprintf("the %s loop has stood still for more than %s, so this relay has given up its lease; "+
		"restart it if this does not pass", loop, limit)
	t.lines.error("loop stands still, lease given up", zap.String("loop", loop), zap.Duration("limit", limit))
	t.mu.Unlock()
	t.enter(StateConnecting)
}

// loopsEnded notes that no loop of the last session runs any more.
func (t *tracker) loopsEnded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stalled != "" {
		t.lines.info("stalled loop has ended")
	}
	t.stalled = ""
}

// leaseSeen notes who leads; mine says that it is this relay.
func (t *tracker) leaseSeen(l Lease, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.status.Lease
	l.Held = l.Owner != "" && l.Until.After(l.now)
	t.status.Lease = &l
	t.leaseMeasured()
	if before != nil && before.Owner == l.Owner && before.Term == l.Term {
		return
	}
	fields := []zap.Field{zap.String("owner", l.Owner), zap.Int64("term", l.Term), zap.Time("until", l.Until)}
	switch {
	case mine:
		t.lines.info("this relay leads from now on", fields...)
	case l.Owner != "":
		t.lines.info("another relay leads", fields...)
	}
}

// leaseRenewed notes that this relay leads for longer, or again.
func (t *tracker) leaseRenewed(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	renewed := *t.status.Lease // a copy: a snapshot may have the old one
	renewed.Until = until.UTC()
	t.status.Lease = &renewed
	t.leaseMeasured()
	if t.status.State != StateLeading && t.stalled == "" {
		t.change(StateLeading)
	}
}

// leaseLapsed notes that the lease was not renewed in time, unless it has been meanwhile.
func (t *tracker) leaseLapsed(f *fence) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.left() > 0 || t.status.State != StateLeading {
		return
	}
	t.metrics.leasesLost.Inc()
	t.lines.warn("the database has not renewed the lease in time: nothing is published until it does, or another relay leads")
	t.change(StateConnecting)
}

// leaseMeasured needs the lock.
func (t *tracker) leaseMeasured() {
	l := t.status.Lease
	t.metrics.lease.Reset()
	if l.Held {
		t.metrics.lease.WithLabelValues(l.Owner).Set(1)
	}
	t.metrics.leaseTerm.Set(float64(l.Term))
	t.metrics.leaseSince.Set(float64(l.Since.UnixMicro()) / 1e6)
	t.metrics.leaseUntil.Set(float64(l.Until.UnixMicro()) / 1e6)
}

// leaseLost notes that this relay publishes no more.
func (t *tracker) leaseLost(err error) {
	t.mu.Lock()
	if t.status.State == StateLeading { // else it had lapsed, which is counted
		t.metrics.leasesLost.Inc()
	}
	t.mu.Unlock()
	t.lines.warn("the lease is lost: nothing more is published, and what was not settled is read again", zap.Error(err))
	t.enter(StateConnecting)
}

// leaseGiven notes that the lease was given to another relay.
func (t *tracker) leaseGiven(successor string) {
	t.metrics.leasesGiven.Inc()
	t.lines.info("the lease was given to a relay that leads fewer sources", zap.String("owner", successor))
}

// leaseNotFreed notes that the next leader has to wait.
func (t *tracker) leaseNotFreed(ttl time.Duration, err error) {
	t.lines.warn("the lease could not be given back; it expires", zap.Duration("within", ttl), zap.Error(err))
}

// databaseFailed notes trouble with the database; doing says what was tried.
func (t *tracker) databaseFailed(doing string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	trouble := t.database[doing]
	if trouble == nil {
		trouble = new(repeated)
		t.database[doing] = trouble
	}
	if trouble.begin(err, time.Now()) {
		t.lines.error("database trouble; trying again", zap.String("doing", doing), zap.Error(err), nextStep(err))
	}
}

// databaseWorks notes that what failed before has worked.
func (t *tracker) databaseWorks(doing string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	trouble := t.database[doing]
	if trouble == nil {
		return
	}
	lasted, _ := trouble.end(time.Now())
	delete(t.database, doing)
	t.lines.info("database works again", zap.String("doing", doing), zap.Duration("after", lasted))
}

// nextStep is the field of a log line that says what to do about an error, where that is known.
func nextStep(err error) zap.Field {
	if problem, ok := errors.AsType[*CheckError](err); ok && problem.Next != "" {
		return zap.String("next", problem.Next)
	}
	return zap.Skip()
}

// databaseTrouble returns one trouble that is going on, in words; empty if there is none. Row security, and what ended
// the session, come first: other troubles follow from them. That the purge fails keeps no event from the broker, and is
// for the warnings.
func (t *tracker) databaseTrouble() string {
	for _, doing := range []string{seeing, leading} {
		if trouble := t.database[doing]; trouble != nil {
			return trouble.text(doing)
		}
	}
	for doing, trouble := range t.database {
		if doing != purging {
			return trouble.text(doing)
		}
	}
	return ""
}

func (r *repeated) text(doing string) string {
	text := fmt.Sprintf("cannot %s: %v", doing, r.err)
	if problem, ok := errors.AsType[*CheckError](r.err); ok && problem.Next != "" {
		text += "; " + problem.Next
	}
	return text
}

// brokerAnswered notes how the last publish went; err is nil when the broker answered for every event. It reports whether the
// broker has just recovered.
func (t *tracker) brokerAnswered(state BrokerState, err error) (recovered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	recovered = t.noteBroker(state, err)
	t.broker.publishing = err != nil
	return recovered
}

// brokerLooked notes what came of a look at the broker. One that can be looked at does not necessarily store events: what a Publish
// met lasts until a Publish goes well, or until nothing waits.
func (t *tracker) brokerLooked(state BrokerState, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.broker.err != nil && t.broker.publishing && t.status.Backlog.Events > 0 {
		t.answered = time.Now()
		return
	}
	t.noteBroker(state, err)
}

// noteBroker needs the lock.
func (t *tracker) noteBroker(state BrokerState, err error) (recovered bool) {
	now := time.Now()
	t.answered = now
	if t.status.Broker.State != state {
		t.status.Broker.State, t.status.Broker.Since = state, now
	}
	if err == nil {
		t.status.Broker.Error = ""
		lasted, was := t.broker.end(now)
		text := "broker answers again"
		if t.broker.stored {
			text = "broker stores events again"
		}
		if was {
			t.lines.info(text, zap.Duration("after", lasted))
		}
		t.broker = brokerTrouble{}
		return was
	}
	t.status.Broker.Error = err.Error()
	if t.broker.begin(err, now) {
		t.lines.error("broker does not store events; they wait in Postgres", zap.String("broker", string(state)), zap.Error(err))
	}
	return false
}

// brokerChosen notes which broker a session uses. What was known of another one says nothing of it.
func (t *tracker) brokerChosen(name string, fallback bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.metrics.onFallback.Set(float64(count(fallback)))
	if t.status.Broker.Name == name {
		return
	}
	t.status.Broker = BrokerStatus{Name: name, State: BrokerUnknown, Since: time.Now()}
	t.broker = brokerTrouble{}
	if fallback {
		t.metrics.failovers.Inc()
	}
}

// rehoming notes that events of the fallback are published to the primary.
func (t *tracker) rehoming(events int64) {
	t.lines.info("the events that only the fallback got are published to the primary too", zap.Int64("events", events))
}

// unconfigured notes that there is no broker, and what that means for the events.
func (t *tracker) unconfigured(why string) {
	t.mu.Lock()
	changed := t.status.Broker.Error != why
	if changed {
		t.status.Broker.State, t.status.Broker.Since, t.status.Broker.Error = BrokerMisconfigured, time.Now(), why
	}
	t.mu.Unlock()
	if changed {
		t.lines.warn("nothing is published", zap.String("cause", why))
	}
	t.enter(StateUnconfigured)
}

// takenBack notes that events are published which a relay without a broker had taken for published.
func (t *tracker) takenBack(events int64) {
	t.lines.warn("events that were only logged are published", zap.Int64("events", events))
}

// foreign notes which events only a broker has that is not configured, a sentence a broker.
func (t *tracker) foreign(texts []string) {
	t.mu.Lock()
	known := t.kept
	t.kept = texts
	t.mu.Unlock()
	for _, text := range texts {
		if !slices.Contains(known, text) {
			t.lines.warn("events of another broker are kept", zap.String("cause", text))
		}
	}
}

// quietFor returns how long the broker has not answered, because nobody asked or because an answer takes its time.
func (t *tracker) quietFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.answered)
}

func (t *tracker) published(events, duplicates int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broker.stored = t.broker.err != nil
	t.status.Published += uint64(events)
	t.status.Duplicates += uint64(duplicates)
	t.metrics.published.Add(float64(events))
	t.metrics.duplicates.Add(float64(duplicates))
}

// uncompared notes events whose ids the broker knew, and which it no longer has.
func (t *tracker) uncompared(events int) {
	if events == 0 {
		return
	}
	t.metrics.uncompared.Add(float64(events))
	t.lines.warn("the broker knew the ids of events and has removed what it stored under them: "+
		"it cannot be told whether they are the same",
		zap.Int("events", events), zap.String("effect", "they count as stored"))
}

func (t *tracker) retried(events int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Retried += uint64(events)
	t.metrics.retried.Add(float64(events))
}

// buried notes dead letters: a line for each reason, not for each of what may be many.
func (t *tracker) buried(dead []deadLetter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.DeadLetters += uint64(len(dead))
	counts := make(map[Reason]int)
	for _, each := range dead {
		counts[each.reason]++
		t.metrics.buried.WithLabelValues(string(each.reason)).Inc()
	}
	for _, each := range dead {
		if n := counts[each.reason]; n > 0 {
			t.lines.error("events moved to outbox.dead_letters; see: outbox-relay dead list", zap.Int("events", n),
				zap.String("reason", string(each.reason)), zap.Int64("first_id", each.id), zap.Stringer("first_event_id", each.eventID),
				zap.Int("attempts", each.attempts), zap.String("error", each.text))
			delete(counts, each.reason)
		}
	}
}

// eventFailed notes that an event waits in a lane because the broker did not take it.
func (t *tracker) eventFailed(event *Event, attempts int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.DelayedError = err.Error()
	if t.events.begin(err, time.Now()) {
		waits, key := "this event", zap.Skip()
		if event.Key != "" {
			waits, key = "this event and later ones of its key", zap.String("key", event.Key)
		}
		t.lines.warn("event not taken; retrying", zap.String("waits", waits), zap.Int64("id", event.ID), zap.Stringer("event_id", event.EventID),
			zap.String("subject", event.Subject), key, zap.Int("attempts", attempts), zap.Error(err))
	}
}

// blocked notes which events wait for an operator; nil if none does.
func (t *tracker) blocked(b *Blocked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Blocked = b
}

// swept notes that the safety sweep caught events.
func (t *tracker) swept(events int) {
	t.lines.error("the safety sweep found events that the reader had missed; they are published now, please report this",
		zap.Int("events", events))
}

// delayed notes how many events wait in lanes.
func (t *tracker) delayed(events int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if events == 0 {
		t.events = repeated{}
		t.status.DelayedError = ""
	}
	t.status.Delayed = events
	t.metrics.delayed.Set(float64(events))
}

func (t *tracker) backlogMeasured(b Backlog, held *heldKeys) {
	heldKeys, heldEvents := held.count()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Backlog = b
	t.status.HeldKeys, t.status.HeldEvents = heldKeys, heldEvents
}

// proved notes that receipts were compared with the rows, for the table or its sequence had changed.
func (t *tracker) proved(p proof, took time.Duration) {
	t.lines.info("receipts compared with the events", zap.Int64("receipts", p.receipts), zap.Int64("events", p.events),
		zap.Int64("present", p.present), zap.Duration("took", took))
}

// lookedUp notes what a look into the tail of the stream has found after a takeover.
func (t *tracker) lookedUp(read, found int64, took time.Duration) {
	t.metrics.lookedUp.Add(float64(read))
	t.metrics.recovered.Add(float64(found))
	t.lines.info("looked for events that were published and not settled", zap.Int64("read", read), zap.Int64("found", found),
		zap.Duration("took", took))
}

// lossSuspected notes that a server describes an older stream than there was, which may have to catch up.
func (t *tracker) lossSuspected(cause string, state StreamState) {
	t.lines.warn("the stream seems to have lost acknowledged events; its leader has time to catch up before that is believed",
		zap.String("cause", cause), zap.String("leader", state.Leader), zap.Duration("time", state.CatchUp))
}

// healed notes that lost events are published again.
func (t *tracker) healed(cause string, again, survived int64, took time.Duration) {
	t.lost(Loss{Cause: cause, Healed: true, Events: again})
	t.metrics.healed.Add(float64(again))
	t.lines.error("the stream has lost acknowledged events; those that are retained are published again", zap.String("cause", cause),
		zap.Int64("events", again), zap.Int64("still_stored", survived), zap.Duration("took", took))
}

// lossSeen notes a loss that is not healed.
func (t *tracker) lossSeen(cause string, events int64, report bool) {
	if !report {
		t.lines.info("the stream has lost acknowledged events, which relay.heal says to leave alone", zap.String("cause", cause),
			zap.Int64("retained_events", events))
		return
	}
	if !t.isNewLoss(cause) {
		return
	}
	t.lost(Loss{Cause: cause, Events: events})
	t.lines.error("the stream has lost acknowledged events; set relay.heal to auto, or run: outbox-relay verify --repair",
		zap.String("cause", cause), zap.Int64("retained_events", events))
}

// lossDoubted notes that events are gone from the stream, and that it is not known whether a limit of the stream has removed them. They
// are not published again by themselves: consumers may have them.
func (t *tracker) lossDoubted(cause string, events int64) {
	if !t.isNewLoss(cause) {
		return
	}
	t.noteLoss(Loss{Cause: cause, Events: events, Doubtful: true})
	t.lines.warn("stream may have lost events", zap.String("cause", cause), zap.Int64("retained_events", events),
		zap.String("next", "outbox-relay verify counts them; if consumers have not got them, outbox-relay verify --repair sends them again"))
}

// warned notes what an operator should know of the outbox.
func (t *tracker) warned(warnings []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, warning := range warnings {
		if !slices.Contains(t.status.Warnings, warning) {
			t.lines.warn(warning)
		}
	}
	t.status.Warnings = warnings
}

// polls notes why writers cannot wake the relay, which then looks for events every so often.
func (t *tracker) polls(why string, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.polling != why {
		t.lines.info("the doorbell cannot be used; an event after a quiet time waits for up to the poll interval",
			zap.String("reason", why), zap.Duration("poll_interval", interval))
	}
	t.polling = why
}

// wakes notes that writers can wake the relay.
func (t *tracker) wakes() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.polling != "" {
		t.lines.info("the doorbell can be used again: a commit wakes the relay")
	}
	t.polling = ""
}

// keptAwake notes which session keeps the relay from sleeping by a transaction that is open for
// long; empty if none does.
func (t *tracker) keptAwake(by string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if by != "" && by != t.awake {
		t.lines.warn("open transaction keeps the relay polling", zap.String("session", by), zap.Duration("limit", earlyLimit))
	}
	t.awake = by
}

// flood is a channel on which notifications come without cause, in the words of the log.
type flood string

// The channels, to which anybody may notify who may connect.
const (
	leaseFlood flood = "lease notifications flood"
	eventFlood flood = "event notifications flood"
)

// flooding is a flood that was seen.
type flooding struct {
	repeated           // its error names the session that notified last
	at       time.Time // when it did
}

// floodMemory is for how long a session that notified too often is named.
const floodMemory = time.Minute

// flooded notes which session notifies so often that the relay does not look each time.
func (t *tracker) flooded(f flood, by string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.floods[f]
	if seen == nil {
		seen = &flooding{}
		t.floods[f] = seen
	}
	if seen.begin(errors.New(by), time.Now()) {
		t.lines.warn(string(f), zap.String("session", by))
	}
	seen.at = time.Now()
}

// floodWarnings needs the lock.
func (t *tracker) floodWarnings() (warnings []string) {
	for _, f := range []flood{leaseFlood, eventFlood} {
		if seen := t.floods[f]; seen != nil && time.Since(seen.at) < floodMemory {
			warnings = append(warnings,
				fmt.Sprintf("%s, sent without cause by %v; end it with pg_terminate_backend", f, seen.err))
		}
	}
	return warnings
}

// isNewLoss reports whether a loss was not noted yet.
func (t *tracker) isNewLoss(cause string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status.Loss == nil || t.status.Loss.Cause != cause
}

func (t *tracker) lost(loss Loss) {
	t.noteLoss(loss)
	t.metrics.losses.Inc()
}

func (t *tracker) noteLoss(loss Loss) {
	t.mu.Lock()
	defer t.mu.Unlock()
	loss.At = time.Now().UTC()
	t.status.Loss = &loss
}

// snapshot returns the status with its verdict.
func (t *tracker) snapshot() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, _ := t.measured(time.Now())
	s.Warnings = slices.Concat(s.Warnings, t.kept)
	if trouble := t.database[purging]; trouble != nil {
		s.Warnings = append(slices.Clone(s.Warnings), trouble.text(purging))
	}
	s.Warnings = slices.Concat(s.Warnings, t.floodWarnings())
	if t.awake != "" {
		s.Warnings = append(slices.Clone(s.Warnings), "a transaction that is open for long keeps the relay polling: "+t.awake+
			"; if it is not needed, end it with pg_terminate_backend")
	}
	if s.Blocked != nil {
		s.Warnings = append(slices.Clone(s.Warnings), s.Blocked.String())
	}
	trouble := t.databaseTrouble()
	switch {
	case t.stalled != "":
		s.NotReady = t.stalled
	case trouble != "":
		s.NotReady = trouble
	case s.State == StateConnecting, s.State == StateStopping:
		s.NotReady = "the relay is " + string(s.State)
	case s.State == StateUnconfigured:
		s.NotReady = s.Broker.Error
	case s.State == StateLeading && s.Broker.Error != "":
		s.NotReady = "the broker does not store events: " + s.Broker.Error
	}
	s.Ready = s.NotReady == ""
	return s
}
