package replay

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
)

// previewSubjects is how many subjects a preview lists.
const previewSubjects = 20

// Preview is what a replay is about to publish.
type Preview struct {
	Events int64 `json:"events"`
	// First and Last are when the first and the last of them were written; the zero time if there is none.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Recent is how many were acknowledged within the duplicate window that was asked about: the stream may drop copies of them
	// that have the same ids.
	Recent int64 `json:"within_duplicate_window"`
	// Subjects are the commonest, with how many events each has; there are SubjectCount different ones.
	Subjects     []SubjectCount `json:"subjects"`
	SubjectCount int64          `json:"subject_count"`
}

// SubjectCount says how many events have a subject.
type SubjectCount struct {
	Subject string `json:"subject"`
	Events  int64  `json:"events"`
}

// Look returns what a replay of a selection would publish now, and how much of that lies within a duplicate window.
func Look(ctx context.Context, db relay.Queryer, what selection.Selection, window time.Duration) (Preview, error) {
	after, end := bounds(what)
	return LookAhead(ctx, db, Replay{Selection: what, LastID: after, EndID: end}, window)
}

// LookAhead returns what a replay has still to publish, as [Look] does.
func LookAhead(ctx context.Context, db relay.Queryer, rest Replay, window time.Duration) (p Preview, err error) {
	if rest.LastID >= rest.EndID {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := relay.Pin(db).Query(ctx, previewSQL, append(rest.Selection.Args(), rest.LastID, rest.EndID, window, previewSubjects)...)
	if err != nil {
		return p, err
	}
	var each SubjectCount
	_, err = pgx.ForEachRow(rows, []any{&each.Subject, &each.Events, &p.SubjectCount, &p.Events, &p.First, &p.Last, &p.Recent}, func() error {
		p.Subjects = append(p.Subjects, each)
		return nil
	})
	p.First, p.Last = p.First.UTC(), p.Last.UTC()
	return p, err
}
