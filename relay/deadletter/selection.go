package deadletter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
)

// Selection says which dead letters are meant: those to which all of its set fields apply. The zero value means every one. Its
// times bound last_failed_at. Its EventIDs and IDs name dead letters one by one, those with one of the one or the other.
type Selection struct {
	selection.Selection
	// IDs are ids that the events had in outbox.events.
	IDs []int64
	// Reasons are the only reasons that are meant; empty means any. See relay.Reason.
	Reasons []string
}

// Validate returns every problem of the selection, joined; nil if there is none.
func (s Selection) Validate() error {
	errs := []error{s.Selection.Validate()}
	for _, reason := range s.Reasons {
		if !slices.Contains(relay.Reasons(), relay.Reason(reason)) {
			errs = append(errs, fmt.Errorf("reason is %q, allowed: %s", reason, AllReasons()))
		}
	}
	return errors.Join(errs...)
}

// AllReasons lists every reason for a person.
func AllReasons() string {
	var all []string
	for _, reason := range relay.Reasons() {
		all = append(all, string(reason))
	}
	return strings.Join(all, ", ")
}

// Empty reports whether every dead letter is meant.
func (s Selection) Empty() bool {
	return s.Selection.Empty() && len(s.IDs) == 0 && len(s.Reasons) == 0
}

// meant is what stands for the dead letters of a selection in the statements of this package. The parameters $1 to $7 are those of
// [selection.Condition], which knows the time of a row as created_at.
const meant = `
    select id, event_id
    from (
        select id, event_id, subject, key, reason, last_failed_at as created_at from outbox.dead_letters
    ) as dead
    where ` + selection.Condition + `
    and ($8::bigint[] is null and $9::uuid[] is null or id = any ($8::bigint[]) or event_id = any ($9::uuid[]))
    and ($10::text[] is null or reason = any ($10::text[]))
`

// withMeant puts [meant] into a statement, which begins with a table "meant" of no rows so that it can be tried as it is.
func withMeant(statement string) string {
	const none = "select null::bigint as id, null::uuid as event_id where false"
	return strings.Replace(statement, none, meant, 1)
}

// args returns the parameters of a statement of a selection, those of its own behind the ten of [meant].
func (s Selection) args(own ...any) []any {
	base := s.Selection
	base.EventIDs = nil // named together with the ids
	args := append(base.Args(), orNull(s.IDs), uuids(s.EventIDs), orNull(s.Reasons))
	return append(args, own...)
}

// orNull makes an empty slice null for Postgres, where it means any.
func orNull[T any](values []T) []T {
	if len(values) == 0 {
		return nil
	}
	return values
}

func uuids(ids []outbox.ID) [][16]byte {
	var plain [][16]byte
	for _, id := range ids {
		plain = append(plain, id)
	}
	return plain
}
