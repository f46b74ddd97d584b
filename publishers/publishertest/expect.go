package publishertest

import (
	"errors"
	"maps"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// createdLayout is how consumers see the time at which an event was inserted.
const createdLayout = "2006-01-02T15:04:05.000000Z"

func asPermanent(err error) *relay.PermanentError {
	if permanent, ok := errors.AsType[*relay.PermanentError](err); ok {
		return permanent
	}
	return nil
}

func isPermanent(err error) bool { return asPermanent(err) != nil }

// asStored is what a consumer must see of an event.
func asStored(e relay.Event) Stored {
	headers := map[string]string{}
	maps.Copy(headers, e.Headers)
	return Stored{
		EventID: e.EventID.String(), Subject: e.Subject, Key: e.Key, CreatedAt: e.CreatedAt.UTC().Format(createdLayout),
		Seq: seq(e), Headers: headers, Payload: append([]byte{}, e.Payload...),
	}
}

// expectStored checks that the place holds exactly these events, each once, and each key in order.
func (f *fixture) expectStored(events ...relay.Event) {
	f.Helper()
	if f.place.Read == nil {
		return
	}
	read := f.place.Read(f.T)
	byID := map[string]Stored{}
	for _, s := range read {
		_, twice := byID[s.EventID]
		require.False(f, twice, "event %s is stored twice", s.Seq)
		byID[s.EventID] = normal(s)
	}
	require.Len(f, read, len(events))
	for _, e := range events {
		assert.Equal(f, asStored(e), byID[e.EventID.String()])
	}
	require.Equal(f, orderOf(events), orderOfStored(read), "the order of each key")
}

// normal makes absent headers and payloads equal to empty ones.
func normal(s Stored) Stored {
	if s.Headers == nil {
		s.Headers = map[string]string{}
	}
	s.Payload = append([]byte{}, s.Payload...)
	return s
}

// orderOf returns the events of each key, in order. Events without a key have none.
func orderOf(events []relay.Event) map[string][]string {
	order := map[string][]string{}
	for _, e := range events {
		if e.Key != "" {
			order[e.Key] = append(order[e.Key], seq(e))
		}
	}
	return order
}

func orderOfStored(stored []Stored) map[string][]string {
	order := map[string][]string{}
	for _, s := range stored {
		if s.Key != "" {
			order[s.Key] = append(order[s.Key], s.Seq)
		}
	}
	return order
}
