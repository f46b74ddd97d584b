package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
	"github.com/gameoutbox/relay/relay/verify"
)

// bed is an outbox, a stream and a relay between them, and somebody who tampers with the stream.
type bed struct {
	db     *harness.Database
	server string
	stream stream
	ledger *jetstream.Publisher
	js     natsjs.JetStream
}

var beds atomic.Int64

// newBed makes a bed without a relay; change may alter the settings with which the stream is created.
func newBed(t *testing.T, change func(*jetstream.Config)) *bed {
	t.Helper()
	b := &bed{db: harness.Postgres(t), server: harness.NATS(t)}
	b.stream = newStream(t, b.server, fmt.Sprintf("bed_%d", beds.Add(1)))
	cfg := b.stream.config()
	if change != nil {
		change(&cfg)
	}
	var err error
	b.ledger, err = jetstream.New(cfg, testLog(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.ledger.Close(context.WithoutCancel(t.Context()))) })
	require.NoError(t, b.ledger.Connect(t.Context()))
	nc, err := nats.Connect(b.server)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	b.js, err = natsjs.New(nc)
	require.NoError(t, err)
	return b
}

// relay runs a relay until the test ends.
func (b *bed) relay(t *testing.T, change func(*relay.Config)) {
	t.Helper()
	startRelay(t, b.db.URL, b.stream.publisher(t), change)
}

// write writes events of five keys, a round of them after the other, and waits until they are settled.
func (b *bed) write(t *testing.T, events int) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), `
		insert into outbox.events (subject, key, headers, payload)
		select $1 || '.k' || i % 5, 'k' || i % 5, '{"tenant": "eu"}', convert_to(format('{"n": %s}', i), 'UTF8')
		from generate_series(1, $2) as i`, b.stream.subject, events)
	require.NoError(t, err)
	requireSettled(t, b.db.Pool)
}

// verify compares, and returns the report and the findings.
func (b *bed) verify(t *testing.T, what selection.Selection) (*verify.Report, []verify.Finding) {
	t.Helper()
	var findings []verify.Finding
	opts := b.options()
	opts.Selection, opts.Found = what, func(f verify.Finding) { findings = append(findings, f) }
	report, err := verify.Run(t.Context(), opts)
	require.NoError(t, err)
	return report, findings
}

func (b *bed) options() verify.Options {
	return verify.Options{DB: b.db.Pool, Ledger: b.ledger, Broker: b.ledger.Name()}
}

// remove deletes the message at a sequence and returns what it was.
func (b *bed) remove(t *testing.T, sequence uint64) *nats.Msg {
	t.Helper()
	s, err := b.js.Stream(t.Context(), b.stream.name)
	require.NoError(t, err)
	raw, err := s.GetMsg(t.Context(), sequence)
	require.NoError(t, err)
	require.NoError(t, s.DeleteMsg(t.Context(), sequence))
	return &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}
}

// store publishes a message as soon as the stream does not recognise its id any more.
func (b *bed) store(t *testing.T, msg *nats.Msg) (sequence uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		ack, err := b.js.PublishMsg(t.Context(), msg)
		if err != nil || ack.Duplicate {
			return false
		}
		sequence = ack.Sequence
		return true
	}, time.Minute, 50*time.Millisecond)
	return sequence
}

// cli returns the program for the bed.
func (b *bed) cli(t *testing.T, env ...string) cli {
	t.Helper()
	return newCLI(t, b.db.URL, append([]string{
		"OUTBOX_MQ_NATS_URL=" + b.server, "OUTBOX_MQ_STREAM_NAME=" + b.stream.name, "OUTBOX_MQ_SUBJECTS=" + b.stream.subject + ".>",
	}, env...)...)
}

// forgetful makes a stream that recognises events for a short time only.
func forgetful(c *jetstream.Config) { c.DuplicateWindow = shortWindow }

// requireKinds checks the kinds and the ids of findings.
func requireKinds(t *testing.T, findings []verify.Finding, want map[verify.Kind][]int64) {
	t.Helper()
	got := make(map[verify.Kind][]int64)
	for _, each := range findings {
		got[each.Kind] = append(got[each.Kind], each.ID)
	}
	require.Equal(t, want, got)
}

func TestVerifyFindsNothingInAWholeStream(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.write(t, 3000)
	report, findings := b.verify(t, selection.Selection{})
	require.Empty(t, findings)
	require.True(t, report.Whole())
	require.EqualValues(t, 3000, report.Events)
	require.EqualValues(t, 1, report.First)
	require.EqualValues(t, 3000, report.Last)
	require.Zero(t, report.Expired)

	report, _ = b.verify(t, selection.Selection{Key: "k1", First: 1001, Last: 2000})
	require.True(t, report.Whole())
	require.EqualValues(t, 200, report.Events)

	b.write(t, 1)
	var got struct {
		verify.Report
		Whole    bool
		Findings []verify.Finding
	}
	require.NoError(t, json.Unmarshal([]byte(b.cli(t).mustRun(t, "verify", "--json")), &got))
	require.True(t, got.Whole)
	require.EqualValues(t, 3001, got.Events)
	require.NotNil(t, got.Findings)
	require.Regexp(t, `compared +3001 events in `, b.cli(t).mustRun(t, "verify"))
}

// TestVerifyRaisesNoFalseAlarm compares again and again while everything moves: events are written, published, settled and purged.
func TestVerifyRaisesNoFalseAlarm(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, func(c *relay.Config) { c.Retention = time.Second })
	g := newGame(t, b.db, 30, b.stream.subject)
	played := make(chan struct{})
	go func() {
		defer close(played)
		g.run(t, 6, 12*time.Second)
	}()
	runs, compared := 0, int64(0)
	for playing := true; playing; runs++ {
		select {
		case <-played:
			playing = false
		default:
		}
		report, findings := b.verify(t, selection.Selection{})
		require.Empty(t, findings)
		require.Zero(t, report.Expired)
		compared += report.Events
	}
	require.Positive(t, compared)
	t.Logf("%d comparisons of %d events in all", runs, compared)
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.write(t, 100)
	for _, sequence := range []uint64{1, 50, 51, 100} {
		b.remove(t, sequence)
	}
	report, findings := b.verify(t, selection.Selection{})
	require.False(t, report.Whole())
	require.EqualValues(t, 100, report.Events)
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Missing: {1, 50, 51, 100}})
	require.Equal(t, b.stream.subject+".k0", findings[1].Subject)
	require.Equal(t, "k0", findings[1].Key)

	_, findings = b.verify(t, selection.Selection{First: 51, Last: 99})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Missing: {51}})
	_, findings = b.verify(t, selection.Selection{Subject: b.stream.subject + ".k1"})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Missing: {1, 51}})

	got := b.cli(t).run(t, "verify")
	requireStartFails(t, got, 1, "the stream is not whole: 4 missing", "outbox-relay verify --repair")
	require.Regexp(t, `missing +50 +[0-9a-f-]{36} +\S+\.k0 +k0`, got.out)
}

func TestVerifyTellsCopiesFromDuplicates(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 20)
	original := b.remove(t, 20)
	foreign := &nats.Msg{Subject: original.Subject, Header: maps.Clone(original.Header), Data: original.Data}
	foreign.Header.Set("Nats-Msg-Id", "6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	first := b.store(t, original)
	b.store(t, foreign)
	_, findings := b.verify(t, selection.Selection{})
	require.Empty(t, findings, "what others store is no matter of ours")

	second := b.store(t, original)
	report, findings := b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Duplicated: {20}})
	require.Equal(t, []uint64{first, second}, findings[0].Sequences)
	require.EqualValues(t, 20, report.Events)

	_, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: b.stream.subject + ".k9", Header: nats.Header{"Outbox-Seq": {"19"}}})
	require.NoError(t, err)
	requireStartFails(t, b.cli(t).run(t, "verify"), 1, "not whole: 1 duplicated")
}

func TestVerifyFindsADuplicateWithinTheRangeOfItsReceipt(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 10)
	again := b.remove(t, 10)
	b.store(t, again)
	b.store(t, again)
	_, err := b.db.Pool.Exec(t.Context(), "update outbox.receipts set last_sequence = 12")
	require.NoError(t, err)
	_, findings := b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Duplicated: {10}})
}

func TestVerifyFindsWhatWasAltered(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 10)
	changes := map[int64]func(*nats.Msg){
		6:  func(m *nats.Msg) { m.Data = []byte("{}") },
		7:  func(m *nats.Msg) { m.Subject = b.stream.subject + ".other" },
		8:  func(m *nats.Msg) { m.Header.Set("tenant", "us") },
		9:  func(m *nats.Msg) { m.Header.Set("Outbox-Key", "other") },
		10: func(m *nats.Msg) { m.Header.Set("Nats-Msg-Id", "6ba7b810-9dad-41d1-80b4-00c04fd430c8") },
	}
	for id := int64(6); id <= 10; id++ {
		msg := b.remove(t, uint64(id))
		changes[id](msg)
		b.store(t, msg)
	}
	report, findings := b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Altered: {6, 7, 8, 9, 10}, verify.Missing: {10}})
	require.EqualValues(t, 10, report.Events)
	details := make(map[int64]string)
	for _, each := range findings {
		if each.Kind == verify.Altered {
			details[each.ID] = each.Detail
		}
	}
	require.Equal(t, map[int64]string{
		6: "payload differs", 7: `subject is "` + b.stream.subject + `.other"`, 8: "headers differ", 9: `key is "other"`,
		10: "a message with its number has another event id",
	}, details)
	got := b.cli(t).run(t, "verify", "--json")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "not whole: 1 missing, 5 altered")
	require.Contains(t, got.out, `"altered":5`)
}

func TestVerifyFindsWhatIsOutOfOrder(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 10)
	b.store(t, b.remove(t, 3)) // behind 8, of the same key
	b.store(t, b.remove(t, 9)) // the last of its key
	_, findings := b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.OutOfOrder: {3}})
	require.Equal(t, "behind id 8 of its key", findings[0].Detail)
	require.Equal(t, []uint64{11}, findings[0].Sequences)

	_, err := b.db.Pool.Exec(t.Context(), "update outbox.receipts set last_sequence = 12")
	require.NoError(t, err)
	_, findings = b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.OutOfOrder: {3}})
	requireStartFails(t, b.cli(t).run(t, "verify"), 1, "not whole: 1 out of order")
}

func TestVerifyCountsWhatTheStreamExpired(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*natsjs.StreamConfig){
		"max_age":              func(c *natsjs.StreamConfig) { c.MaxAge = time.Second },
		"max_msgs":             func(c *natsjs.StreamConfig) { c.MaxMsgs = 30 },
		"max_msgs_per_subject": func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 6 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, forgetful)
			b.relay(t, nil)
			b.write(t, 100)
			s, err := b.js.Stream(t.Context(), b.stream.name)
			require.NoError(t, err)
			cfg := s.CachedInfo().Config
			cfg.Discard = natsjs.DiscardOld
			limit(&cfg)
			_, err = b.js.UpdateStream(t.Context(), cfg)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return b.stream.count() <= 30 }, cliTimeout, 20*time.Millisecond)
			report, findings := b.verify(t, selection.Selection{})
			require.Empty(t, findings)
			require.EqualValues(t, 100, report.Events)
			require.GreaterOrEqual(t, report.Expired, int64(70))
			require.Contains(t, report.Expires, name)
		})
	}
}

func TestVerifyDoesNotExcuseAPurgeByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, func(c *relay.Config) { c.Heal = relay.HealOff })
	b.write(t, 50)
	s, err := b.js.Stream(t.Context(), b.stream.name)
	require.NoError(t, err)
	require.NoError(t, s.Purge(t.Context(), natsjs.WithPurgeSequence(41)))
	report, _ := b.verify(t, selection.Selection{})
	require.EqualValues(t, 40, report.Missing)
	require.Zero(t, report.Expired)
	require.NoError(t, s.Purge(t.Context()))
	report, _ = b.verify(t, selection.Selection{})
	require.EqualValues(t, 50, report.Missing)
}

// TestVerifyDoubtsWhatALiftedLimitMayHaveRemoved leaves it to a person whether it is sent again.
func TestVerifyDoubtsWhatALiftedLimitMayHaveRemoved(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	s, err := b.js.Stream(t.Context(), b.stream.name)
	require.NoError(t, err)
	cfg := s.CachedInfo().Config
	cfg.Discard, cfg.MaxMsgs = natsjs.DiscardOld, 30
	_, err = b.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	b.relay(t, nil)
	b.write(t, 100)
	report, _ := b.verify(t, selection.Selection{})
	require.Zero(t, report.Missing)
	require.EqualValues(t, 70, report.Expired)

	cfg.Discard = natsjs.DiscardNew
	_, err = b.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	report, findings := b.verify(t, selection.Selection{})
	require.EqualValues(t, 70, report.Missing)
	require.EqualValues(t, 70, report.Doubtful)
	require.Contains(t, findings[0].Detail, "a limit of the stream, or a consumer,")
	requireStartFails(t, b.cli(t).run(t, "verify"), 1, "70 missing", "ask the consumers for 70", "only 0 more events are sure to fit")

	cfg.MaxMsgs = -1
	_, err = b.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	got := b.cli(t).run(t, "verify", "--repair", "--json")
	require.Contains(t, got.out, `"stored":70`, got.err)
	require.Equal(t, 100, b.stream.count())
}

func TestVerifyOfAnotherIncarnationLooksForTheEventsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.write(t, 10)
	b.remove(t, 4)
	_, err := b.db.Pool.Exec(t.Context(), "update outbox.receipts set incarnation = 'before', first_sequence = 901, last_sequence = 910")
	require.NoError(t, err)
	report, findings := b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Missing: {4}})
	require.EqualValues(t, 10, report.Events)

	_, err = b.db.Pool.Exec(t.Context(), "update outbox.receipts set stream = 'other'")
	require.NoError(t, err)
	report, _ = b.verify(t, selection.Selection{})
	require.Zero(t, report.Events)
	require.EqualValues(t, 10, report.Elsewhere)
}

func TestVerifyRepairsWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(c *jetstream.Config) { c.DuplicateWindow = 2 * time.Second })
	b.relay(t, nil)
	b.write(t, 10)
	b.remove(t, 10)
	b.remove(t, 9)
	got := b.cli(t).run(t, "verify", "--repair", "--no-wait")
	if got.code != 0 { // the window may have been over already
		require.Contains(t, got.err, "not whole")
		require.Contains(t, got.err, "duplicate window is over: outbox-relay verify --repair")
		require.Contains(t, got.out, "were left")
		got = b.cli(t).run(t, "verify", "--repair")
	}
	require.Zero(t, got.code, "%s%s", got.out, got.err)
	require.Regexp(t, `sent again +2 of 2, which the stream holds now`, got.out)
	require.Equal(t, 10, b.stream.count())
	b.cli(t).mustRun(t, "verify")
	var events int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select sum(events) from outbox.receipts").Scan(&events))
	require.Equal(t, 10, events)
}

func TestVerifyRepairWaitsForTheDuplicateWindow(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(c *jetstream.Config) { c.DuplicateWindow = 4 * time.Second })
	b.relay(t, nil)
	b.write(t, 5)
	b.remove(t, 2)
	report, _ := b.verify(t, selection.Selection{})
	require.EqualValues(t, 1, report.Missing)
	var said []string
	repaired, err := verify.Repair(t.Context(), verify.RepairOptions{Options: b.options(), Say: func(text string) { said = append(said, text) }}, report)
	require.NoError(t, err)
	require.Equal(t, verify.Repaired{Missing: 1, Stored: 1}, repaired)
	require.Len(t, said, 2)
	require.Contains(t, said[0], "duplicate window of the stream (4s)")
	report, _ = b.verify(t, selection.Selection{})
	require.True(t, report.Whole(), "there is no later event of its key")
}

func TestVerifyRepairSaysThatNoRelayRuns(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	_, stop := runRelay(t, b.db.URL, b.stream.publisher(t), nil)
	b.write(t, 10)
	stop()
	for sequence := range uint64(10) {
		b.remove(t, sequence+1)
	}
	got := b.cli(t).run(t, "verify", "--repair")
	requireStartFails(t, got, 1, "not whole: 10 missing", "start a relay")
	require.Contains(t, got.out, "10 wait to be published: no relay runs that could publish them")
	require.Zero(t, rowCount(t, b.db.Pool, "outbox.receipts"), "a receipt that covers nothing goes")

	b.relay(t, nil)
	requireSettled(t, b.db.Pool)
	report, _ := b.verify(t, selection.Selection{})
	require.True(t, report.Whole())
}

func TestVerifyNeedsABrokerAndRights(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	requireStartFails(t, newCLI(t, b.db.URL).run(t, "verify"), 2, "no broker is configured", "set mq.nats_url")
	requireStartFails(t, b.cli(t, "OUTBOX_MQ_NATS_URL=nats://"+harness.FreeAddress(t)).run(t, "verify"), 1, "cannot read the stream", "check that the server runs")
	requireStartFails(t, b.cli(t).run(t, "verify", "--since", "yesterday"), 2, `--since: "yesterday" is no time`)
	requireStartFails(t, b.cli(t).run(t, "verify", "--no-wait"), 2, "--no-wait is for --repair")
	gone := b.cli(t, "OUTBOX_MQ_STREAM_NAME=gone", "OUTBOX_MQ_SUBJECTS=gone.>")
	requireStartFails(t, gone.run(t, "verify"), 1, `there is no stream "gone"`)

	role := newRole(t, b.db)
	_, err := b.db.Pool.Exec(t.Context(), "select outbox.grant_relay($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	asRelay := b.cli(t)
	asRelay.env = append(asRelay.env, "OUTBOX_POSTGRES_URL="+role.url)
	asRelay.mustRun(t, "verify")
	requireStartFails(t, asRelay.run(t, "verify", "--repair"), 1, "may not work on the outbox by hand", "select outbox.grant_operator('"+role.quoted()+"')")
	_, err = b.db.Pool.Exec(t.Context(), "select outbox.grant_operator($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	assert.Zero(t, asRelay.run(t, "verify", "--repair").code)
}
