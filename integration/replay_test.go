package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay/replay"
	"github.com/gameoutbox/relay/relay/selection"
)

// writeHistory writes events one by one, an hour apart, of which the last was written just now: id 1 is the oldest.
func (b *bed) writeHistory(t *testing.T, events int) {
	t.Helper()
	b.write(t, events)
	_, err := b.db.Pool.Exec(t.Context(), "update outbox.events set created_at = now() - make_interval(hours => $1 - id::int)", events)
	require.NoError(t, err)
}

// copies returns the messages that the stream holds behind the first n.
func (b *bed) copies(t *testing.T, n int) []natsjs.Msg {
	t.Helper()
	requireSettled(t, b.db.Pool)
	return b.stream.read(t)[n:]
}

// numbers returns the numbers in the payloads of messages.
func numbers(t *testing.T, messages []natsjs.Msg) []int {
	t.Helper()
	all := make([]int, len(messages))
	for i, msg := range messages {
		var payload struct{ N int }
		require.NoError(t, json.Unmarshal(msg.Data(), &payload))
		all[i] = payload.N
	}
	return all
}

func TestReplayBySelection(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.writeHistory(t, 20)
	var third string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select event_id from outbox.events where id = 3").Scan(&third))
	stored := 20
	for _, c := range []struct {
		flags []string
		want  []int
	}{
		{[]string{"--since", "2h30m"}, []int{18, 19, 20}},
		{[]string{"--until", time.Now().Add(-17 * time.Hour).Format(time.RFC3339)}, []int{1, 2}},
		{[]string{"--first", "5", "--last", "7"}, []int{5, 6, 7}},
		{[]string{"--subject", b.stream.subject + ".k1", "--last", "20"}, []int{1, 6, 11, 16}},
		{[]string{"--key", "k2", "--first", "8", "--last", "20"}, []int{12, 17}},
		{[]string{"--event-id", third}, []int{3}},
	} {
		dry := b.cli(t).mustRun(t, append([]string{"replay", "--dry-run"}, c.flags...)...)
		require.Regexp(t, `events +`+strconv.Itoa(len(c.want))+`\n`, dry)
		require.Equal(t, stored, b.stream.count(), "a dry run publishes nothing")

		out := b.cli(t).mustRun(t, append([]string{"replay", "--new-ids"}, c.flags...)...)
		require.Contains(t, out, "for the relay to publish")
		copies := b.copies(t, stored)
		require.Equal(t, c.want, numbers(t, copies), "%v", c.flags)
		stored += len(c.want)
		b.hide(t)
	}
	b.cli(t).mustRun(t, "verify")
}

// hide makes the events that are no originals too old for the selections that follow.
func (b *bed) hide(t *testing.T) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), "with old as (select range_agg(int8range(id, id, '[]')) as ids from outbox.events where id > 20), "+
		"gone as (delete from outbox.receipts using old where receipts.ids <@ old.ids) delete from outbox.events where id > 20")
	require.NoError(t, err)
}

func TestReplayCopiesKeepEverythingButTheirIDs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.writeHistory(t, 10)
	b.cli(t).mustRun(t, "replay", "--all", "--new-ids", "--rate", "0")
	copies := b.copies(t, 10)
	originals := b.stream.read(t)[:10]
	require.Len(t, copies, 10)
	for i, msg := range copies {
		was := originals[i]
		require.Equal(t, was.Subject(), msg.Subject())
		require.Equal(t, was.Data(), msg.Data())
		require.Equal(t, "eu", msg.Headers().Get("tenant"))
		require.Equal(t, was.Headers().Get("Outbox-Key"), msg.Headers().Get("Outbox-Key"))
		require.NotEqual(t, was.Headers().Get("Nats-Msg-Id"), msg.Headers().Get("Nats-Msg-Id"))
		created, err := time.Parse(time.RFC3339, msg.Headers().Get("Outbox-Created-At"))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(-time.Duration(9-i)*time.Hour), created, 5*time.Minute)
	}
	b.cli(t).mustRun(t, "verify")
}

func TestReplayWithTheSameIDs(t *testing.T) {
	t.Parallel()
	b := newBed(t, func(c *jetstream.Config) { c.DuplicateWindow = time.Minute })
	b.relay(t, nil)
	b.write(t, 10)
	got := b.cli(t).run(t, "replay", "--all", "--same-ids")
	requireStartFails(t, got, 1, "up to 10 of 10 events", "duplicate window (1m0s)", "--force")
	require.Zero(t, rowCount(t, b.db.Pool, "outbox.replays"))
	require.Contains(t, b.cli(t).mustRun(t, "replay", "--all", "--dry-run"), "would drop up to 10")

	away := b.cli(t, "OUTBOX_MQ_NATS_URL=nats://"+harness.FreeAddress(t))
	requireStartFails(t, away.run(t, "replay", "--all", "--same-ids"), 1, "cannot ask the stream", "--force")
	require.Contains(t, away.mustRun(t, "replay", "--all", "--dry-run"), "unknown")

	b.cli(t).mustRun(t, "replay", "--all", "--same-ids", "--force")
	requireSettled(t, b.db.Pool)
	require.Equal(t, 10, b.stream.count(), "the stream has dropped every copy")
	require.Equal(t, 20, rowCount(t, b.db.Pool, "outbox.events"))
	report, findings := b.verify(t, selection.Selection{})
	require.Empty(t, findings, "an event that the stream holds is not missing")
	require.EqualValues(t, 20, report.Events)
}

func TestReplayWithTheSameIDsAfterTheDuplicateWindow(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 10)
	// A busy server forgets ids later than it says: in their order, so that of a message that comes last tells.
	probe := &nats.Msg{Subject: b.stream.subject + ".probe", Header: nats.Header{"Nats-Msg-Id": {"probe"}}}
	b.store(t, probe)
	b.store(t, probe)
	require.Eventually(t, func() bool { return b.cli(t).run(t, "replay", "--all", "--same-ids").code == 0 }, cliTimeout, 100*time.Millisecond)
	copies := b.copies(t, 10+2)
	require.Len(t, copies, 10)
	for i, was := range b.stream.read(t)[:10] {
		require.Equal(t, was.Headers().Get("Nats-Msg-Id"), copies[i].Headers().Get("Nats-Msg-Id"))
	}
	b.cli(t).mustRun(t, "verify")
}

func TestReplayLeavesOutWhatWaits(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	_, stop := runRelay(t, b.db.URL, b.stream.publisher(t), nil)
	b.write(t, 5)
	stop()
	_, err := b.db.Pool.Exec(t.Context(), "select outbox.publish($1, '{\"n\": 6}')", b.stream.subject+".x")
	require.NoError(t, err)
	require.Contains(t, b.cli(t).mustRun(t, "replay", "--all", "--new-ids"), "has written 5 events again")
	require.Contains(t, b.cli(t).mustRun(t, "replay", "--all", "--new-ids"), "no relay runs now")
	require.Equal(t, 16, rowCount(t, b.db.Pool, "outbox.events"))
	b.relay(t, nil)
	require.Equal(t, []int{6, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5}, numbers(t, b.copies(t, 5)))
}

// TestReplayResumesExactlyOnce interrupts a replay again and again.
func TestReplayResumesExactlyOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.write(t, 200)
	run, err := replay.Start(t.Context(), b.db.Pool, selection.Selection{Key: "k1"}, true)
	require.NoError(t, err)
	interrupted := 0
	for !run.Finished() {
		ctx, cancel := context.WithCancel(t.Context())
		before := run.Events
		next, err := replay.Run(ctx, replay.Options{DB: b.db.Pool, Rate: 50, Progress: func(now replay.Replay) {
			if now.Events > before && !now.Finished() {
				cancel()
			}
		}}, run)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, replay.ErrInterrupted)
			interrupted++
		}
		run, err = replay.Find(t.Context(), b.db.Pool, run.ID)
		require.NoError(t, err)
		require.Equal(t, next, run, "what was done is what is stored")
	}
	require.GreaterOrEqual(t, interrupted, 3)
	require.EqualValues(t, 40, run.Events)
	var want []int
	for n := 1; n <= 200; n += 5 {
		want = append(want, n)
	}
	require.Equal(t, want, numbers(t, b.copies(t, 200)))
}

func TestReplayIsInterruptedAndResumedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	b.write(t, 100)
	c := b.cli(t)
	cmd := exec.Command(c.program, "replay", "--all", "--new-ids", "--rate", "20")
	var out, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, t.TempDir(), &out, &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return rowCount(t, b.db.Pool, "outbox.events") > 100 }, cliTimeout, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait() // its exit code is looked at
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Regexp(t, `replay 1 was interrupted after \d+ of 100 events\n +next: +outbox-relay replay --resume 1\n`, stderr.String())
	require.Regexp(t, `1 +\S+ +postgres +new +\d+ +at id \d+ of 100 +\{\}`, c.mustRun(t, "replay", "list"))

	require.Contains(t, c.mustRun(t, "replay", "--resume", "1", "--rate", "0"), "replay 1 has written 100 events again")
	want := numbers(t, b.stream.read(t)[:100])
	require.Equal(t, want, numbers(t, b.copies(t, 100)))
	requireStartFails(t, c.run(t, "replay", "--resume", "1"), 1, "replay 1 has finished: 100 events")
	requireStartFails(t, c.run(t, "replay", "--resume", "7"), 1, "there is no replay 7")
	require.Regexp(t, `1 +\S+ +postgres +new +100 +finished `, c.mustRun(t, "replay", "list"))
	var listed []replay.Replay
	require.NoError(t, json.Unmarshal([]byte(c.mustRun(t, "replay", "list", "--json")), &listed))
	require.Len(t, listed, 1)
	require.True(t, listed[0].Finished())
}

func TestReplayCopiesInStepsOfBoundedBytes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.relay(t, nil)
	_, err := b.db.Pool.Exec(t.Context(), `
		insert into outbox.events (subject, payload)
		select $1 || '.x', convert_to('{"n": ' || i || ', "pad": "' || repeat('x', 900000) || '"}', 'UTF8')
		from generate_series(1, 30) as i`, b.stream.subject)
	require.NoError(t, err)
	requireSettled(t, b.db.Pool)
	run, err := replay.Start(t.Context(), b.db.Pool, selection.Selection{}, false)
	require.NoError(t, err)
	var steps []int64
	run, err = replay.Run(t.Context(), replay.Options{DB: b.db.Pool, Progress: func(r replay.Replay) { steps = append(steps, r.Events) }}, run)
	require.NoError(t, err)
	require.EqualValues(t, 30, run.Events)
	require.Equal(t, []int64{10, 20, 30}, steps)
	require.Equal(t, 60, rowCount(t, b.db.Pool, "outbox.events"))
}

func TestReplayRefusesWhatNobodyMeans(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	c := b.cli(t)
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--new-ids"}, "say which events are meant"},
		{[]string{"--all", "--key", "k1", "--new-ids"}, "and not both"},
		{[]string{"--all"}, "choose --new-ids or --same-ids"},
		{[]string{"--all", "--new-ids", "--same-ids"}, "choose --new-ids or --same-ids"},
		{[]string{"--all", "--new-ids", "--rate", "-1"}, "--rate is -1"},
		{[]string{"--resume", "1", "--key", "k1"}, "--resume goes on"},
		{[]string{"--first", "9", "--last", "3", "--new-ids"}, "9 to 3 are no range"},
		{[]string{"--event-id", "7", "--new-ids"}, "is not a UUID"},
	} {
		requireStartFails(t, c.run(t, slices.Concat([]string{"replay"}, tc.flags)...), 2, tc.want)
	}
	require.Regexp(t, `events +0`, c.mustRun(t, "replay", "--all", "--new-ids"))
	require.Zero(t, rowCount(t, b.db.Pool, "outbox.replays"))

	role := newRole(t, b.db)
	_, err := b.db.Pool.Exec(t.Context(), "select outbox.grant_relay($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	c.env = append(c.env, "OUTBOX_POSTGRES_URL="+role.url)
	requireStartFails(t, c.run(t, "replay", "--all", "--new-ids"), 1, "may not work on the outbox by hand", "outbox.grant_operator(")
	requireStartFails(t, c.run(t, "replay", "list"), 1, "outbox.grant_operator(")
	_, err = b.db.Pool.Exec(t.Context(), "select outbox.grant_operator($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	b.relay(t, nil)
	b.write(t, 3)
	require.Contains(t, c.mustRun(t, "replay", "--all", "--new-ids"), "3 events")
}
