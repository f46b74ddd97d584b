package verify

import (
	"context"
	_ "embed" // the statements are files
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

var (
	//go:embed sql/lock.sql
	lockSQL string
	//go:embed sql/take_out.sql
	takeOutSQL string
	//go:embed sql/raise_epoch.sql
	raiseEpochSQL string
	//go:embed sql/waiting.sql
	waitingSQL string
	//go:embed sql/sent.sql
	sentSQL string
)

const (
	// followInterval is how often the database is asked whether the relay has settled what it was given.
	followInterval = 200 * time.Millisecond
	// leaderPatience is how long no relay may lead before nobody waits for one any more: a takeover takes less.
	leaderPatience = 10 * time.Second
)

// resent are events that were given to the relay again.
type resent struct {
	taken int64
	ids   []span
	end   uint64 // where the stream ended before
}

// follow waits until the relay has settled the events, and looks into the stream for them.
func (r *repair) follow(ctx context.Context, sent resent) error {
	rows, waiting, err := r.await(ctx, sent)
	if err != nil {
		return err
	}
	r.done.Unsettled += waiting
	r.done.Gone += sent.taken - rows
	stored, err := r.see(ctx, sent)
	if err != nil {
		return err
	}
	r.done.Stored += stored
	r.done.Dropped += max(0, rows-waiting-stored)
	return nil
}

// await returns how many rows there still are, and how many of them are not settled, once there are none of those, or once it is
// clear that nobody gets on with them.
func (r *repair) await(ctx context.Context, sent resent) (rows, waiting int64, err error) {
	least, moved, led := sent.taken, time.Now(), time.Now()
	for {
		began := time.Now()
		if rows, waiting, err = r.countWaiting(ctx, sent); err != nil || waiting == 0 {
			return rows, waiting, err
		}
		leads, err := relay.HasLeader(ctx, r.opts.DB)
		if err != nil {
			return rows, waiting, fmt.Errorf("ask whether a relay leads: %w", err)
		}
		now := time.Now()
		if leads {
			led = now
		}
		if waiting < least {
			least, moved = waiting, now
		}
		switch {
		case now.Sub(led) > leaderPatience:
			r.done.Why = "no relay runs that could publish them"
			return rows, waiting, nil
		case now.Sub(moved) > r.opts.Patience:
			r.done.Why = fmt.Sprintf("the relay has published none of them for %s", r.opts.Patience)
			return rows, waiting, nil
		}
		r.opts.Progress(Progress{Doing: "waiting for the relay", Done: uint64(sent.taken - waiting), Total: uint64(sent.taken)})
		if err := pause(ctx, max(followInterval, 5*now.Sub(began))); err != nil {
			return rows, waiting, err
		}
	}
}

func (r *repair) countWaiting(ctx context.Context, sent resent) (rows, waiting int64, err error) {
	first, last := columns(sent.ids)
	answer, cancel, err := query(ctx, r.opts.DB, waitingSQL, first, last)
	if err != nil {
		return 0, 0, err
	}
	defer cancel()
	_, err = pgx.ForEachRow(answer, []any{&rows, &waiting}, func() error { return nil })
	return rows, waiting, err
}

// see returns how many of the events the stream holds behind its former end.
func (r *repair) see(ctx context.Context, sent resent) (stored int64, err error) {
	state, err := r.opts.Ledger.Inspect(ctx)
	if err != nil {
		return 0, err
	}
	part := relay.Scan{First: sent.end + 1, Last: state.Last}
	for _, ids := range portions(sent.ids, lookEvents) {
		n, err := r.seePart(ctx, ids, part)
		if stored += n; err != nil {
			return stored, err
		}
	}
	return stored, nil
}

// errAllSeen ends a scan that has found everything.
var errAllSeen = errors.New("everything was found")

func (r *repair) seePart(ctx context.Context, ids []span, part relay.Scan) (stored int64, err error) {
	wanted, err := r.eventIDs(ctx, ids)
	if err != nil || len(wanted) == 0 || part.First > part.Last {
		return 0, err
	}
	err = r.opts.Ledger.Scan(ctx, part, func(event relay.StoredEvent) error {
		r.opts.Progress(Progress{Doing: "looking into the stream", Done: event.Sequence - part.First, Total: part.Last - part.First + 1})
		stored += wanted[event.EventID] // of two rows with one event id the stream keeps the first
		delete(wanted, event.EventID)
		if len(wanted) == 0 {
			return errAllSeen
		}
		return nil
	})
	if errors.Is(err, errAllSeen) {
		err = nil
	}
	return stored, err
}

// eventIDs returns the event ids of rows, and how many rows have each.
func (r *repair) eventIDs(ctx context.Context, ids []span) (map[outbox.ID]int64, error) {
	first, last := columns(ids)
	rows, cancel, err := query(ctx, r.opts.DB, sentSQL, first, last)
	if err != nil {
		return nil, err
	}
	defer cancel()
	wanted := make(map[outbox.ID]int64)
	var eventID [16]byte
	_, err = pgx.ForEachRow(rows, []any{&eventID}, func() error {
		wanted[eventID]++
		return nil
	})
	return wanted, err
}

// portions splits ids into parts of at most max.
func portions(ids []span, max int64) (parts [][]span) {
	room := int64(0)
	for _, each := range ids {
		for each.first <= each.last {
			if room == 0 {
				parts, room = append(parts, nil), max
			}
			part := span{first: each.first, last: min(each.last, each.first+room-1)}
			parts[len(parts)-1] = append(parts[len(parts)-1], part)
			room -= part.last - part.first + 1
			each.first = part.last + 1
		}
	}
	return parts
}
