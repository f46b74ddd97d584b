package relay

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// settleEvents is the most events of one settling statement, roughly.
	settleEvents = 8192
	// maxUnburied is how many dead letters may wait for a database that refuses them before everything waits with them.
	maxUnburied = 1000
)

// settler writes outcomes back to Postgres, behind the publish loop. Its context outlives the stop of the relay, so that what
// the broker acknowledged is not forgotten.
type settler struct {
	remove  func(context.Context, []identity) error   // takes stored events out of the table
	move    func(context.Context, []deadLetter) error // takes dead letters to their table
	track   *tracker
	parked  *parkedIDs
	backoff *backoff.ExponentialBackOff

	stored  []identity
	origins []settlement // where the stored events came from
	dead    []deadLetter
	buryAt  time.Time // when dead letters that Postgres refused are tried again
}

// run settles until in is closed and everything is written, or until ctx ends.
func (s *settler) run(ctx context.Context, in <-chan settlement) error {
	for {
		select {
		case next, open := <-in:
			if !open {
				return s.flush(ctx)
			}
			s.take(next)
			s.takeMore(in)
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

// takeMore adds what is already waiting, so that many small batches become one transaction.
func (s *settler) takeMore(in <-chan settlement) {
	for len(s.stored) < settleEvents {
		select {
		case next, open := <-in:
			if !open {
				return // run finds it closed too
			}
			s.take(next)
		default:
			return
		}
	}
}

func (s *settler) take(next settlement) {
	s.stored = append(s.stored, next.stored...)
	s.origins = append(s.origins, next)
	s.dead = append(s.dead, next.dead...)
}

// flush writes what was taken, trying until it is done or ctx ends.
func (s *settler) flush(ctx context.Context) error {
	for {
		err := s.write(ctx)
		if err == nil {
			s.backoff.Reset()
			return nil
		}
		if !pause(ctx, s.backoff.NextBackOff()) {
			return context.Cause(ctx)
		}
	}
}

func (s *settler) write(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.bury(ctx); err != nil && len(s.dead) > maxUnburied {
		return err
	}
	return nil
}

// settle removes the acknowledged events from the table.
func (s *settler) settle(ctx context.Context) error {
	if len(s.stored) == 0 {
		return nil
	}
	if err := s.remove(ctx, s.stored); err != nil {
		s.track.databaseFailed("settle events", err)
		return err
	}
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
