package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/verify"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		found verified
		what  string // empty if nothing is wrong
		next  []string
	}{
		"whole":       {verified{Report: &verify.Report{Events: 9, Expired: 3}}, "", nil},
		"missing":     {verified{Report: &verify.Report{Missing: 2, Room: 2}}, "2 missing", []string{"send the missing again: outbox-relay verify --repair"}},
		"no room":     {verified{Report: &verify.Report{Missing: 2, Room: 1, Stream: "s"}}, "2 missing", []string{"raise the limits of stream s", "only 1 more events are sure to fit", "then send"}},
		"doubtful":    {verified{Report: &verify.Report{Missing: 2, Room: 9, Doubtful: 1}}, "2 missing", []string{"ask the consumers for 1 of the missing", "then send"}},
		"repaired":    {verified{Report: &verify.Report{Missing: 2}, Repair: &verify.Repaired{Missing: 2, Stored: 2}}, "", nil},
		"half":        {verified{Report: &verify.Report{Missing: 2}, Repair: &verify.Repaired{Missing: 2, Stored: 1, Young: 1}}, "1 missing", []string{"when the duplicate window is over"}},
		"more wrong":  {verified{Report: &verify.Report{Missing: 1, Altered: 1}, Repair: &verify.Repaired{Missing: 1, Stored: 1}}, "1 altered", []string{"publish the originals again"}},
		"everything":  {verified{Report: &verify.Report{Missing: 1, Duplicated: 2, OutOfOrder: 3, Altered: 4}}, "1 missing, 2 duplicated, 3 out of order, 4 altered", []string{"by their event id", "in order"}},
		"nobody sent": {verified{Report: &verify.Report{Missing: 4}, Repair: &verify.Repaired{Missing: 4, Unsettled: 1, Dropped: 1, Gone: 2}}, "4 missing", []string{"start a relay", "as duplicates after all", "relay.retention"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.found.verdict()
			if tc.what == "" {
				require.NoError(t, err)
				return
			}
			f := (*failure)(nil)
			require.ErrorAs(t, err, &f)
			require.Equal(t, "the stream is not whole: "+tc.what, f.what)
			for _, next := range tc.next {
				require.Contains(t, f.next, next)
			}
		})
	}
}

func TestEventsOfABrokerThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	const nats, cache, off = "OUTBOX_MQ_NATS_URL=nats://n", "OUTBOX_REDIS_HOST=cache", "OUTBOX_FAILOVER_REHOME=false"
	others := []verify.Other{
		{Broker: "jetstream", Stream: "old", Events: 1}, {Broker: "noop", Events: 2}, {Broker: "redis", Stream: "game:events", Events: 3},
	}
	const waits, decide = "start a relay", "set failover.rehome to false"
	for name, tc := range map[string]struct {
		env    []string
		broker string
		want   map[string]string // what to do, by broker
	}{
		"NATS alone":        {[]string{nats}, "jetstream", map[string]string{"noop": waits, "redis": waits}},
		"both":              {[]string{nats, cache}, "jetstream", map[string]string{"noop": waits}},
		"Redis alone":       {[]string{cache}, "redis", map[string]string{"jetstream": decide, "noop": waits}},
		"nothing is wanted": {[]string{nats, off}, "jetstream", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := foreignTo(settingsWith(t, tc.env...).Config, tc.broker, others)
			require.Len(t, got, len(tc.want))
			for _, each := range got {
				require.NotEmpty(t, tc.want[each.broker], each.broker)
				require.Contains(t, each.next, tc.want[each.broker], each.broker)
			}
			found := &verified{Report: &verify.Report{}, foreign: got}
			require.Equal(t, len(got) == 0, found.verdict() == nil)
		})
	}
}

func TestVerifiedTable(t *testing.T) {
	t.Parallel()
	found := &verified{
		Report: &verify.Report{
			Broker: "jetstream", Stream: "game-events", First: 3, Last: 90, Events: 80, Missing: 1, Doubtful: 1, Expired: 7, Expires: "max_msgs is 100",
			Elsewhere: 1, Others: []verify.Other{{Broker: "redis", Stream: "game:events", Events: 1}}, Took: 1500 * time.Millisecond, OutOfOrder: 2,
		},
		Findings: []verify.Finding{
			{Kind: verify.Missing, ID: 5, EventID: outbox.ID{1}, Subject: "game.x"},
			{Kind: verify.OutOfOrder, ID: 6, EventID: outbox.ID{2}, Subject: "game.y", Key: "k", Sequences: []uint64{8}, Detail: "behind id 7 of its key"},
		},
		Omitted: 1,
		Repair:  &verify.Repaired{Missing: 1, Unsettled: 1, Why: "no relay runs"},
	}
	var out bytes.Buffer
	require.NoError(t, writeVerified(&out, found))
	require.Equal(t, `stream        jetstream game-events, sequences 3 to 90
compared      80 events in 1.5s
missing       1, of which a limit of the stream, or a consumer, may have removed 1
duplicated    0
out of order  2
altered       0
expired       7: max_msgs is 100
not compared  1 event that other streams acknowledged: 1 by redis game:events
sent again    0 of 1, which the stream holds now; 1 wait to be published: no relay runs

FINDING       ID  EVENT ID                              SUBJECT  KEY  SEQUENCE  DETAIL
missing       5   01000000-0000-0000-0000-000000000000  game.x   -    -         
out of order  6   02000000-0000-0000-0000-000000000000  game.y   k    8         behind id 7 of its key
and 1 more; --all-findings shows them
`, out.String())
}
