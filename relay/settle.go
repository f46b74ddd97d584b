package relay

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// settleEvents is the most events of one settling statement, roughly.
	settleEvents = 8192
	// settleLinger is the least time between two settling statements, unless there is much to settle. It saves most of the
	// commits while few events come, and costs nothing but a longer look into the stream after a crash.
	settleLinger = 50 * time.Millisecond
	// receiptSpan is for how long a receipt is extended instead of followed by another.
	receiptSpan = 10 * time.Second
	// maxUnburied is how many dead letters may wait for a database that refuses them before everything waits with them.
	maxUnburied = 1000
)

// settler writes outcomes back to Postgres, behind the publish loop. Its context outlives the stop of the relay, so that what
// the broker acknowledged is not forgotten.
type settler struct {
	write   settleFunc                                // settles stored events
	move    func(context.Context, []deadLetter) error // takes dead letters to their table
	place   place                                     // where events are stored
	last    uint64                                    // the last sequence that is settled
	track   *tracker
	parked  *parkedIDs
	backoff *backoff.ExponentialBackOff

	stored  []identity
	first   uint64       // the least sequence of a stored event that the broker had already; 0 if there was none
	highest uint64       // the highest sequence of a stored event
	untold  bool         // the sequence of some is not known
	origins []settlement // where the stored events came from
	dead    []deadLetter
	settled time.Time // when events were last settled
	buryAt  time.Time // when dead letters that Postgres refused are tried again
}

// settleFunc settles events in the database.
type settleFunc func(context.Context, acknowledged) error

// run settles until in is closed and everything is written, or until ctx ends.
func (s *settler) run(ctx context.Context, in <-chan settlement) error {
	for {
		select {
		case next, open := <-in:
			if !open {
				return s.flush(ctx)
			}
			s.take(next)
			s.takeMore(ctx, in)
		case <-s.buryAgain():
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
}

// buryAgain returns a channel that wakes the loop for dead letters that were refused; nil, which never does, if none were.
func (s *settler) buryAgain() <-chan time.Time {
	if len(s.dead) == 0 {
		return nil
	}
	return time.After(time.Until(s.buryAt))
}

// takeMore adds what comes until it is time to settle again, so that many small batches become one transaction. The end of in
// ends the wait.
func (s *settler) takeMore(ctx context.Context, in <-chan settlement) {
	linger := time.NewTimer(time.Until(s.settled.Add(settleLinger)))
	defer linger.Stop()
	over := false
	for !over && len(s.stored) < settleEvents {
		select { // what is there already comes first
		case next, open := <-in:
			over = !s.takeNext(next, open)
			continue
		default:
		}
		select {
		case next, open := <-in:
			over = !s.takeNext(next, open)
		case <-linger.C:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
}

// takeNext takes what came, and reports false at the end, which run finds too.
func (s *settler) takeNext(next settlement, open bool) bool {
	if open {
		s.take(next)
	}
	return open
}

func (s *settler) take(next settlement) {
	s.stored = append(s.stored, next.stored...)
	s.origins = append(s.origins, next)
	s.dead = append(s.dead, next.dead...)
	s.highest = max(s.highest, next.highest)
	s.untold = s.untold || next.untold
	if next.earliest > 0 && (s.first == 0 || next.earliest < s.first) {
		s.first = next.earliest
	}
}

// acknowledged returns what is to be settled. What the broker has not told lies behind the last sequence that was settled, for it
// was published after that, and nobody knows before which.
func (s *settler) acknowledged() acknowledged {
	news := acknowledged{events: s.stored, place: s.place, first: s.last + 1, position: max(s.last, s.highest)}
	if s.first > 0 {
		news.first = min(news.first, s.first)
	}
	news.last = news.position
	if s.untold && s.place.stream != "" {
		news.last = math.MaxInt64
	}
	return news
}

// flush writes what was taken, trying until it is done or ctx ends. It gives up where another server or another leader has the say: the
// next session finds in the stream what was not written.
func (s *settler) flush(ctx context.Context) error {
	for {
		err := s.writeAll(ctx)
		if err == nil {
			s.backoff.Reset()
			return nil
		}
		if errors.Is(err, errAgain) {
			return err
		}
		if !pause(ctx, s.backoff.NextBackOff()) {
			return context.Cause(ctx)
		}
	}
}

func (s *settler) writeAll(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.bury(ctx); err != nil && len(s.dead) > maxUnburied {
		return err
	}
	return nil
}

// settle writes that the stored events are acknowledged.
func (s *settler) settle(ctx context.Context) error {
	if len(s.stored) == 0 {
		return nil
	}
	news := s.acknowledged()
	if err := s.write(ctx, news); err != nil {
		s.track.databaseFailed("settle events", err)
		return err
	}
	s.last, s.first, s.highest, s.untold, s.settled = news.position, 0, 0, false, time.Now()
	s.track.databaseWorks("settle events")
	for _, each := range s.origins {
		for _, event := range each.stored {
			s.land(each.from, event.id)
		}
	}
	s.stored, s.origins = s.stored[:0], s.origins[:0]
	return nil
}

// bury moves dead letters out of the table. Those that Postgres refuses hold up nobody: their events stay where they are, and
// are tried again later.
func (s *settler) bury(ctx context.Context) error {
	if len(s.dead) == 0 || time.Now().Before(s.buryAt) {
		return nil
	}
	if err := s.move(ctx, s.dead); err != nil {
		s.track.databaseFailed("move events to outbox.dead_letters", err)
		s.buryAt = time.Now().Add(time.Second)
		return err
	}
	s.track.databaseWorks("move events to outbox.dead_letters")
	s.track.buried(s.dead)
	for _, each := range s.dead {
		s.land(each.from, each.id)
	}
	s.dead = s.dead[:0]
	return nil
}

// land says that an event is settled: to its batch, or to the parked ids if it was in a lane.
func (s *settler) land(from *flight, id int64) {
	if from == nil {
		s.parked.remove(id)
		return
	}
	from.land(1)
}
