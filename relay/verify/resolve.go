package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

const (
	// lookEvents is how many events one look through the stream is for, about 300 bytes each.
	lookEvents = 1 << 18
	// clockMargin is how far the clocks of the database and of the broker may be apart.
	clockMargin = 10 * time.Minute
	// late is how much longer the database's hours may be than those of the broker.
	late = 1.1
)

// resolve gives its verdict on every row that was not found in its place, and on every message that was found in no place.
func (r *run) resolve(ctx context.Context) error {
	if err := r.inspect(ctx); err != nil {
		return err
	}
	l := newLook(r.opts.Ledger, r.state)
	for i, part := range r.walk.unfound {
		r.opts.Progress(Progress{Doing: "asking the database again", Done: uint64(i), Total: uint64(len(r.walk.unfound))})
		suspects, err := r.store.unfound(ctx, part.receipt, part.ids)
		if err != nil {
			return fmt.Errorf("ask again for the rows of receipt %d: %w", part.receipt, err)
		}
		for _, each := range suspects {
			r.judge(l, each)
		}
		if len(l.absent) >= lookEvents {
			if err := r.look(ctx, l); err != nil {
				return err
			}
			l = newLook(r.opts.Ledger, r.state)
		}
	}
	for _, strays := range r.walk.strays.kept {
		l.expectOnce(strays)
	}
	if err := r.look(ctx, l); err != nil {
		return err
	}
	r.report.Room = r.state.Room
	if r.report.Expired > 0 {
		r.report.Expires = reasonOf(r.state)
	}
	return nil
}

// judge decides on a row that was not found in its place, or leaves it to the look.
func (r *run) judge(l *look, s suspect) {
	strays := r.walk.strays.claim(s.identity)
	switch {
	case len(strays) > 0:
		r.report.Events++
		r.judgeStrays(strays)
	case r.expired(s):
		r.report.Events++
		r.report.Expired++
	default:
		l.expect(s)
	}
}

// expired reports whether the stream can itself have removed what it does not hold. Of another incarnation only the age tells.
func (r *run) expired(s suspect) bool {
	switch {
	case r.state.Expires != "" && r.state.Anywhere, tooOld(r.state, s.firstSettled):
		return true
	}
	return s.first > 0 && s.first < r.state.First && explains(r.state, r.kept, s.first, s.firstSettled)
}

// judgeStrays decides on a row whose messages were found, but not where its receipt says.
func (r *run) judgeStrays(strays []stray) {
	first := strays[0]
	if diff := first.row.content.differences(first.message.content); diff != "" {
		r.found(first.row.finding(Altered, diff, first.message.sequence))
	}
	if first.message.behind != 0 {
		r.found(first.row.finding(OutOfOrder, behindText(first.message.behind), first.message.sequence))
	}
	if len(strays) > 1 {
		r.found(first.row.finding(Duplicated, "", sequencesOf(strays)...))
	}
}

func sequencesOf(strays []stray) (sequences []uint64) {
	for _, each := range strays {
		sequences = append(sequences, each.message.sequence)
	}
	return sequences
}

// look goes through the stream for what nothing else has explained, and reports what that does not explain either.
func (r *run) look(ctx context.Context, l *look) error {
	if err := l.run(ctx, r.opts.Progress); err != nil {
		return err
	}
	for _, each := range l.twice() {
		r.found(each)
	}
	for _, each := range l.suspects {
		r.report.Events++
		if len(l.absent[each.eventID].sequences) > 0 {
			continue
		}
		r.lose(each)
		if sequence := l.impostors[each.id]; sequence != 0 {
			r.found(each.finding(Altered, "a message with its number has another event id", sequence))
		}
	}
	return r.compareTaken(ctx, l)
}

// lose notes that a row is missing.
func (r *run) lose(s suspect) {
	detail := ""
	if s.first > 0 && s.first < r.kept {
		detail = "a limit of the stream, or a consumer, may have removed it"
		r.report.Doubtful++
	}
	r.found(s.finding(Missing, detail))
	if n := len(r.report.lost) - 1; n >= 0 && r.report.lost[n].receipt == s.receipt {
		r.report.lost[n].ids = appendID(r.report.lost[n].ids, s.id)
		return
	}
	r.report.lost = append(r.report.lost, lostSpan{receipt: s.receipt, ids: []span{{s.id, s.id}}, settled: s.settled})
}

func (s suspect) finding(kind Kind, detail string, sequences ...uint64) Finding {
	return Finding{Kind: kind, ID: s.id, EventID: s.eventID, Subject: s.subject, Key: s.key, Sequences: sequences, Detail: detail}
}

// explains reports whether a stream can itself have removed from its beginning what it held at a sequence and what was settled at a time.
// From kept on it has removed nothing but by age.
func explains(state relay.StreamState, kept, sequence uint64, settled time.Time) bool {
	return state.Expires != "" && sequence < kept || tooOld(state, settled)
}

// tooOld reports whether a stream has dropped by its age what was settled at a time. An event is settled some time after it was
// stored, and the clocks of two hosts do not run alike.
func tooOld(state relay.StreamState, settled time.Time) bool {
	margin := max(time.Minute, state.MaxAge/10)
	return state.MaxAge > 0 && time.Since(settled) > state.MaxAge-margin
}

// reasonOf says in words why a stream has removed events.
func reasonOf(state relay.StreamState) string {
	if state.Expires != "" {
		return state.Expires
	}
	return "max_age is " + state.MaxAge.String()
}
