package publishertest

import (
	"bytes"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func tooLarge(f *fixture) {
	events := f.events(60, 3)
	events[20].Payload = bytes.Repeat([]byte("x"), f.harness.TooLarge)
	f.expectRefused(events, map[int]relay.Reason{20: relay.ReasonTooLarge})
}

func manyTooLarge(f *fixture) {
	events := f.events(200, 3)
	want := map[int]relay.Reason{}
	body := bytes.Repeat([]byte("x"), f.harness.TooLarge)
	for _, i := range []int{0, 1, 5, 6, 7, 100, 150, 198, 199} {
		events[i].Payload = body
		want[i] = relay.ReasonTooLarge
	}
	f.expectRefused(events, want)
}

func badSubjects(f *fixture) {
	subjects := []string{
		"", ".", "a..b", ".a", "a.", "a b", "a.*", "a.>", "*", ">", "a.b\tc", "a\r\nPUB x 0\r\n", "a.\x00", "a\u007f",
	}
	events := f.events(3*len(subjects), 3)
	want := map[int]relay.Reason{}
	for i, subject := range subjects {
		if subject != "" {
			subject = f.place.Subject + "." + subject
		}
		events[3*i+1].Subject = subject
		want[3*i+1] = relay.ReasonBadSubject
	}
	f.expectRefused(events, want)
}

// expectRefused delivers events and checks that those of want are refused for good, in one call, and that all others are
// stored.
func (f *fixture) expectRefused(events []relay.Event, want map[int]relay.Reason) {
	f.Helper()
	outcomes, err := f.publish(f.ctx, events)
	require.NoError(f, err, "an event's own fault is no error of the broker")
	for i, reason := range want {
		permanent := asPermanent(outcomes[i].Err)
		require.NotNil(f, permanent, "event %d with subject %q: %+v", i, events[i].Subject, outcomes[i])
		require.Equal(f, reason, permanent.Reason)
		require.NotEmpty(f, permanent.Err.Error())
	}
	require.Len(f, f.deliver(events), len(want))
	var stored []relay.Event
	for i, e := range events {
		if _, bad := want[i]; !bad {
			stored = append(stored, e)
		}
	}
	f.expectStored(stored...)
}
