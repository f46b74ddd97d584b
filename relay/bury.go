package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// buryEvents is the most dead letters of one statement.
	buryEvents = 500
	// buryShare bounds what burying costs while a backlog waits: it takes at most one part in so many of the time. A dead letter costs
	// Postgres as much as an event that is published, and those that can be published come first.
	buryShare = 20
	// buryPause is the pause after Postgres has refused dead letters.
	buryPause = time.Second
	// maxUnburied is the most bytes of dead letters that wait, roughly. Then burying takes all the time that it needs, and where Postgres
	// refuses dead letters everything waits with them.
	maxUnburied = 16 << 20
)

// burier moves dead letters out of the table of events, beside the settle loop. Until it has, they are parked: their rows stay where
// they are, and after a crash they are refused once more.
type burier struct {
	move   func(context.Context, []deadLetter) error // takes dead letters to their table
	behind func() bool                               // whether a backlog waits
	track  *tracker
	parked *parkedIDs

	dead []deadLetter
	size int       // of dead, in bytes
	next time.Time // when dead letters may be buried again
}

// run buries until in is closed and everything is buried that Postgres takes, or until ctx ends.
func (b *burier) run(ctx context.Context, in <-chan []deadLetter) {
	for ctx.Err() == nil {
		source := in
		if b.size >= maxUnburied {
			source = nil
		}
		select {
		case more, open := <-source:
			if !open {
				b.buryAll(ctx)
				return
			}
			b.take(more)
		case <-b.due():
			_ = b.bury(ctx) // it is tried again
		case <-ctx.Done():
		}
	}
}

func (b *burier) take(more []deadLetter) {
	b.dead = append(b.dead, more...)
	for i := range more {
		b.size += more[i].size()
		if from := more[i].from; from != nil {
			b.parked.add(more[i].id)
			from.land(1)
		}
	}
}

// due returns a channel that tells when it is time to bury; nil, which never does, if there is nothing to bury.
func (b *burier) due() <-chan time.Time {
	if len(b.dead) == 0 {
		return nil
	}
	return time.After(time.Until(b.next))
}

// buryAll buries everything, without pauses, as far as Postgres takes it.
func (b *burier) buryAll(ctx context.Context) {
	for len(b.dead) > 0 {
		if err := b.bury(ctx); err != nil {
			return
		}
	}
}

// bury moves the dead letters that have waited longest. Those that Postgres refuses hold up nobody.
func (b *burier) bury(ctx context.Context) error {
	began := time.Now()
	now := b.dead[:min(len(b.dead), buryEvents)]
	const doing = "move events to outbox.dead_letters"
	if err := b.move(ctx, now); err != nil {
		b.track.databaseFailed(doing, err)
		b.next = time.Now().Add(buryPause)
		return err
	}
	b.track.databaseWorks(doing)
	b.track.buried(now)
	for i := range now {
		b.parked.remove(now[i].id)
		b.size -= now[i].size()
	}
	b.dead = b.dead[len(now):]
	b.next = time.Now()
	if b.behind() && b.size < maxUnburied {
		b.next = b.next.Add((buryShare - 1) * time.Since(began))
	}
	return nil
}

// maxUnreachable is how many events with ids that cannot be are moved at once; the next sweep moves the next.
const maxUnreachable = 100

// buryUnreachable moves events to outbox.dead_letters whose ids no reader gets to, see
// sql/bury_unreachable.sql. It is called before the session reads which keys are held, and later on
// returns an error only if the session has to begin anew.
func (r *Relay) buryUnreachable(ctx context.Context) error {
	const doing = "move events with impossible ids to outbox.dead_letters"
	dead, err := moveUnreachable(ctx, r.db, r.cfg.AfterDeadLetter == HoldKey)
	switch {
	case errors.Is(err, errAgain), ctx.Err() != nil:
		return err
	case err != nil:
		r.track.databaseFailed(doing, err)
		return nil
	}
	r.track.databaseWorks(doing)
	if len(dead) == 0 {
		return nil
	}
	r.track.buried(dead)
	if r.cfg.AfterDeadLetter == HoldKey && r.held.Load() != nil {
		return fmt.Errorf("%w: keys are held since", errAgain)
	}
	return nil
}

func moveUnreachable(ctx context.Context, db Queryer, hold bool) ([]deadLetter, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	cause := errors.New("the id is above the highest that the sequence draws")
	rows, err := db.Query(ctx, buryUnreachableSQL, maxUnreachable, string(ReasonUnreadable), cause.Error(), hold)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (deadLetter, error) {
		var event identity
		err := row.Scan(&event.id, (*[16]byte)(&event.eventID))
		return newDeadLetter(event, nil, ReasonUnreadable, cause, failures{}), err
	})
}
