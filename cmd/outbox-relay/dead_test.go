package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/deadletter"
)

// fixedLedger is a stream that does not change.
type fixedLedger struct{ relay.Ledger }

func (fixedLedger) Inspect(context.Context) (relay.StreamState, error) {
	return relay.StreamState{Stream: "s", DuplicateWindow: 2 * time.Minute}, nil
}

func seeing(t *testing.T) *streamView {
	t.Helper()
	stream, err := deadletter.Observe(t.Context(), fixedLedger{})
	require.NoError(t, err)
	return &streamView{stream: stream}
}

// retriedAs returns a retried event with an outcome.
func retriedAs(outcome deadletter.Outcome, change func(*deadletter.Retried)) deadletter.Retried {
	r := deadletter.Retried{ID: 7, NewID: 7, Subject: "game.a", Key: "k", Outcome: outcome}
	if change != nil {
		change(&r)
	}
	return r
}

func found(subject string) *deadletter.Found {
	return &deadletter.Found{Sequence: 12, Subject: subject, Key: "k", StoredAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func TestWhatBecomesOfARetry(t *testing.T) {
	t.Parallel()
	id := outbox.ID{}.String()
	for name, tc := range map[string]struct {
		retried deadletter.Retried
		blind   string
		want    string
		next    string // of the failure; empty if there is none
	}{
		"stored": {retried: retriedAs(deadletter.Stored, nil), want: "      1 stored: now in the stream\n"},
		"the stream has it": {
			retried: retriedAs(deadletter.Duplicate, func(r *deadletter.Retried) { r.Found = found("game.a") }),
			want: "      1 duplicate: the stream recognised the event id and stored nothing new\n        7 " + id +
				" game.a: the stream already holds this event, at sequence 12 since 2026-01-02T03:04:05Z\n",
		},
		"the stream has another event": {
			retried: retriedAs(deadletter.Duplicate, func(r *deadletter.Retried) { r.Found, r.PutBack = found("game.b"), true }),
			want: "      1 duplicate: the stream recognised the event id and stored nothing new\n        7 " + id +
				" game.a: the stream had the id within its duplicate window of 2m0s, from another event, game.b at sequence 12, that was given " +
				"the same id; it is a dead letter again: retry it after 2026-01-02T03:06:05Z\n",
			next: "retry what was dropped when the duplicate window is over",
		},
		"dropped for good": {
			retried: retriedAs(deadletter.Duplicate, nil),
			want: "      1 duplicate: the stream recognised the event id and stored nothing new\n        7 " + id +
				" game.a: the stream had the id within its duplicate window of 2m0s, and no longer holds it; its row is gone, for " +
				"relay.retention is short or 0\n",
			next: "write anew, from where it came from, what was dropped and is gone; outbox.dead_letter_log names it",
		},
		"dead": {
			retried: retriedAs(deadletter.Dead, nil),
			want:    "      1 dead again\n        7 " + id + " game.a: refused again\n",
			next:    "remove the cause of what is dead again, see outbox-relay dead list",
		},
		"not seen": {
			retried: retriedAs(deadletter.Acknowledged, nil), blind: "no broker",
			want: "      1 acknowledged, but not seen in the stream: no broker\n",
			next: "look for the event ids in the stream by hand, or make it readable",
		},
		"held": {
			retried: retriedAs(deadletter.Held, nil),
			want: "      1 waiting, because another dead letter holds the key\n        7 " + id +
				" game.a: retry or discard the other ones of key k\n",
			next: "deal with the other dead letters of the keys that are held",
		},
		"waiting": {
			retried: retriedAs(deadletter.Waits, nil), want: "      1 waiting in outbox.events: the relay has settled nothing for 3s\n",
			next: "see outbox-relay status whether a relay leads and its broker answers: it then publishes what waits",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			report := retryReport{Retries: deadletter.Retries{Retried: []deadletter.Retried{tc.retried}}, view: seeing(t), out: &out}
			report.view.blind = tc.blind
			report.end(3 * time.Second)
			require.Equal(t, tc.want, out.String())
			err := report.verdict()
			if tc.next == "" {
				require.NoError(t, err)
				return
			}
			f := (*failure)(nil)
			require.ErrorAs(t, err, &f)
			require.Equal(t, "the stream is not known to hold 1 of 1 dead letter", f.what)
			require.Equal(t, tc.next, f.next)
		})
	}
}

func TestAReportNamesAtMostAHundredEvents(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	report := retryReport{view: seeing(t), out: &out}
	for range shownEvents + 50 {
		report.Retried = append(report.Retried, retriedAs(deadletter.Dead, nil))
		report.Refused = append(report.Refused, deadletter.Refused{Err: errors.New("no")})
	}
	report.begin()
	report.end(time.Second)
	require.Equal(t, 1+shownEvents+1+1+shownEvents+1, bytes.Count(out.Bytes(), []byte("\n")))
	require.Contains(t, out.String(), "and 50 more that Postgres refuses\n")
	require.Contains(t, out.String(), "and more; outbox.dead_letter_log has the outcome of each\n")
	require.ErrorContains(t, report.verdict(), "hold 300 of 300 dead letters")
}

func TestGroupsAreSummedUp(t *testing.T) {
	t.Parallel()
	groups := slices.Repeat([]deadletter.Group{{Reason: "refused", Subject: "game.a", Events: 2}}, shownGroups+1)
	var out bytes.Buffer
	require.NoError(t, writeGroups(&out, groups))
	require.Contains(t, out.String(), "with another subject or reason\n")
	out.Reset()
	require.NoError(t, writeGroups(&out, append(groups, groups[0])))
	require.Contains(t, out.String(), "4               with 2 other subjects or reasons\n")
	require.EqualValues(t, 2*(shownGroups+1), sum(groups))
}

func TestBlindWithoutABroker(t *testing.T) {
	t.Parallel()
	dead := deadLetters{settings: settingsWith(t)}
	view := openStreamView(t.Context(), dead)
	defer view.close()
	require.Contains(t, view.blind, "no broker is configured that could be read back")

	var out bytes.Buffer
	report := retryReport{Retries: deadletter.Retries{Retried: []deadletter.Retried{retriedAs(deadletter.Waits, nil)}}, view: view, out: &out}
	report.caveat()
	require.Contains(t, out.String(), "how long that is could not be read: no broker is configured that could be read back")
}
