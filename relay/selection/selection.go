package selection

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// Selection says which rows are meant: those to which all of its set fields apply. The zero value means every row.
type Selection struct {
	// First and Last bound the id, both included; 0 means no bound.
	First int64 `json:"first,omitempty"`
	Last  int64 `json:"last,omitempty"`
	// EventIDs are the only events that are meant; empty means any.
	EventIDs []outbox.ID `json:"event_ids,omitempty"`
	// Subject is a pattern as in NATS: * stands for one token, > at the end for one or more. Empty means any subject.
	Subject string `json:"subject,omitempty"`
	// Key is the ordering key; empty means any, and none.
	Key string `json:"key,omitempty"`
	// Since and Until bound created_at: Since is included, Until is not. The zero time means no bound.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Validate returns every problem of the selection, joined; nil if there is none.
func (s Selection) Validate() error {
	var errs []error
	if s.First < 0 || s.Last < 0 || s.Last > 0 && s.First > s.Last {
		errs = append(errs, fmt.Errorf("the ids %d to %d are no range; the first must not be above the last", s.First, s.Last))
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until) {
		errs = append(errs, fmt.Errorf("the time from %s until %s is empty; the first must be before the second",
			s.Since.Format(time.RFC3339), s.Until.Format(time.RFC3339)))
	}
	if s.Subject != "" && !patternRE.MatchString(s.Subject) {
		errs = append(errs, fmt.Errorf("%q is no pattern of subjects; * stands for one token, > at the end for one or more", s.Subject))
	}
	return errors.Join(errs...)
}

// Empty reports whether every row is meant.
func (s Selection) Empty() bool {
	return s.First == 0 && s.Last == 0 && len(s.EventIDs) == 0 && s.Subject == "" && s.Key == "" && s.Since.IsZero() && s.Until.IsZero()
}

var patternRE = regexp.MustCompile(`^([^\s.*>]+|\*)(\.([^\s.*>]+|\*))*(\.>)?$|^>$`)

// Condition is true in SQL for the rows that are meant, of a table with the columns of outbox.events. Its parameters $1 to $7 are
// those of [Selection.Args]; the ids and the times are compared as they are, so that indexes can be used.
const Condition = `id >= $1::bigint and id <= $2::bigint
    and ($3::uuid[] is null or event_id = any ($3::uuid[]))
    and ($4::text is null or subject ~ $4::text)
    and ($5::text is null or key = $5::text)
    and ($6::timestamptz is null or created_at >= $6::timestamptz)
    and ($7::timestamptz is null or created_at < $7::timestamptz)`

// Args returns the parameters of [Condition], for pgx.
func (s Selection) Args() []any {
	last := s.Last
	if last == 0 {
		last = 1<<63 - 1
	}
	return []any{s.First, last, s.eventIDs(), optional(s.subjectRE(), s.Subject == ""), optional(s.Key, s.Key == ""),
		optional(s.Since, s.Since.IsZero()), optional(s.Until, s.Until.IsZero())}
}

func (s Selection) eventIDs() [][16]byte {
	var ids [][16]byte
	for _, id := range s.EventIDs {
		ids = append(ids, id)
	}
	return ids
}

func optional[T any](value T, isNone bool) *T {
	if isNone {
		return nil
	}
	return &value
}

// subjectRE translates the pattern into a regular expression of Postgres.
func (s Selection) subjectRE() string {
	tokens := strings.Split(s.Subject, ".")
	for i, token := range tokens {
		switch token {
		case "*":
			tokens[i] = `[^.]+`
		case ">":
			tokens[i] = `.+`
		default:
			tokens[i] = literalRE.ReplaceAllString(token, `\$0`)
		}
	}
	return "^" + strings.Join(tokens, `\.`) + "$"
}

// literalRE finds what means something in a regular expression of Postgres.
var literalRE = regexp.MustCompile(`[^\p{L}\p{N}_]`)
