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
	// settleLinger is the time between two settling statements while few events come one after the other. It saves most of the
	// commits, and costs nothing but a longer look into the stream after a crash. An event that is published beside such a
	// statement, which takes most of a millisecond, is late by as much: hence so few of them.
	settleLinger = 250 * time.Millisecond
	// settlePause ends that time early when nothing more comes: the end of a backlog is settled soon.
	settlePause = 50 * time.Millisecond
	// receiptEvents is the most events of a receipt that is extended: each time the event_ids of all of them are written again.
	receiptEvents = 1024
	// receiptSpan is for how long a receipt is extended instead of followed by another.
	receiptSpan = 10 * time.Second
)

// settler writes outcomes back to Postgres, behind the publish loop. Its context outlives the stop of the relay, so that what
// the broker acknowledged is not forgotten.
type settler struct {
	write   settleFunc          // settles stored events
	dead    chan<- []deadLetter // to the burier
	place   place               // where events are stored
	table   int64               // the generation of the table
	last    uint64              // the last sequence that is settled
	track   *tracker
	parked  *parkedIDs
	backoff *backoff.ExponentialBackOff

	progress *progress
	stored   []identity
	first    uint64       // the least sequence of a stored event that the broker had already; 0 if there was none
	highest  uint64       // the highest sequence of a stored event
	untold   bool         // the sequence of some is not known
	origins  []settlement // where the stored events came from
	settled  time.Time    // when events were last settled
	busy     bool         // they were many
}

// settleFunc settles events in the database.
type settleFunc func(context.Context, acknowledged) error

// run settles until in is closed and everything is written, or until ctx ends.
func (s *settler) run(ctx context.Context, in <-chan settlement) error {
	s.progress.idle()
	defer s.progress.idle()
	for next := range in {
		s.take(ctx, next)
		s.takeMore(ctx, in)
		if err := s.flush(ctx); err != nil {
			return err
		}
		s.progress.idle()
	}
	return nil
}

// takeMore adds what comes until it is time to settle again, so that many small batches become one transaction. The end of in
// ends the wait.
func (s *settler) takeMore(ctx context.Context, in <-chan settlement) {
	wait := func() time.Duration {
		if s.busy {
			return 0
		}
		return min(settlePause, time.Until(s.settled.Add(settleLinger)))
	}
	linger := time.NewTimer(wait())
	defer linger.Stop()
	over := false
	for !over && len(s.stored) < settleEvents {
		select { // what is there already comes first
		case next, open := <-in:
			over = !s.takeNext(ctx, next, open)
			continue
		default:
		}
		select {
		case next, open := <-in:
			over = !s.takeNext(ctx, next, open)
			linger.Reset(wait())
		case <-linger.C:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
}

// takeNext takes what came, and reports false at the end, which run finds too.
func (s *settler) takeNext(ctx context.Context, next settlement, open bool) bool {
	if open {
		s.take(ctx, next)
	}
	return open
}

// take notes what was stored, and passes dead letters on to be buried.
func (s *settler) take(ctx context.Context, next settlement) {
	if len(next.dead) > 0 {
		select {
		case s.dead <- next.dead:
		case <-ctx.Done():
		}
	}
	s.stored = append(s.stored, next.stored...)
	s.origins = append(s.origins, next)
	s.highest = max(s.highest, next.highest)
	s.untold = s.untold || next.untold
	if next.earliest > 0 && (s.first == 0 || next.earliest < s.first) {
		s.first = next.earliest
	}
}

// acknowledged returns what is to be settled. What the broker has not told lies behind the last sequence that was settled, for it
// was published after that, and nobody knows before which.
func (s *settler) acknowledged() acknowledged {
	news := acknowledged{events: s.stored, place: s.place, generation: s.table, first: s.last + 1, position: max(s.last, s.highest)}
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
		s.progress.work(databaseLimit)
		err := s.settle(ctx)
		s.progress.idle()
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
	s.last, s.first, s.highest, s.untold = news.position, 0, 0, false
	s.settled, s.busy = time.Now(), len(s.stored) >= settleEvents
	s.track.databaseWorks("settle events")
	for _, each := range s.origins {
		for _, event := range each.stored {
			s.land(each.from, event.id)
		}
	}
	s.stored, s.origins = s.stored[:0], s.origins[:0]
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
