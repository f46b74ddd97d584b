package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/selection"
)

// selectionFlags say which events a command is about.
type selectionFlags struct {
	since, until string
	subject, key string
	first, last  int64
	eventIDs     []string
}

func (f *selectionFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.since, "since", "", "events written at this `time` or later: RFC 3339, or a duration such as 2h for so long ago")
	flags.StringVar(&f.until, "until", "", "events written before this `time`, in the same forms")
	flags.StringVar(&f.subject, "subject", "", "events with a subject of this `pattern`: * is one token, > at the end the rest")
	flags.StringVar(&f.key, "key", "", "events with this ordering `key`")
	flags.Int64Var(&f.first, "first", 0, "events from this `id` on")
	flags.Int64Var(&f.last, "last", 0, "events up to this `id`")
	flags.StringSliceVar(&f.eventIDs, "event-id", nil, "the event with this `uuid`; may be given again")
}

// selection returns what the flags mean at a time, or every problem that they have.
func (f *selectionFlags) selection(now time.Time) (selection.Selection, error) {
	var errs []error
	at := func(flag, text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		moment, err := parseMoment(text, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
		return moment
	}
	s := selection.Selection{
		First: f.first, Last: f.last, Subject: f.subject, Key: f.key, Since: at("since", f.since), Until: at("until", f.until),
	}
	for _, text := range f.eventIDs {
		id, err := outbox.ParseID(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--event-id: %w", err))
		}
		s.EventIDs = append(s.EventIDs, id)
	}
	return s, errors.Join(append(errs, s.Validate())...)
}
