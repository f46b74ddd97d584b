package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// TestTheStreamLosesItsData deletes or rolls back what the server had stored, while the relay runs or is down: every event is
// there again, once, in order.
func TestTheStreamLosesItsData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rolledBack, relayIsDown bool }{
		"deleted while it runs":        {false, false},
		"rolled back while it runs":    {true, false},
		"deleted while it is down":     {false, true},
		"rolled back while it is down": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			server := harness.StartNATS(t, harness.NATSOptions{})
			s := newStream(t, server.URL, "lossy")
			g := newGame(t, db, 30, s.subject)
			publisher := s.publisher(t)
			r, stop := runRelay(t, db.URL, publisher, nil)
			g.run(t, 4, time.Second)
			requireSettled(t, db.Pool)
			server.Stop()
			var backup []byte
			if c.rolledBack {
				backup = server.Backup()
			}
			server.Start()
			g.run(t, 4, time.Second)
			requireSettled(t, db.Pool)

			if c.relayIsDown {
				stop()
			}
			server.Stop()
			g.run(t, 4, time.Second) // what was not published yet comes after what was lost
			server.Reset(backup)
			if c.relayIsDown {
				r, stop = runRelay(t, db.URL, s.publisher(t), nil)
			}
			require.Eventually(t, func() bool { return s.count() == total(g.committed(t)) }, 30*time.Second, 50*time.Millisecond,
				"not everything is there again")
			requireSettled(t, db.Pool)
			g.requireWhole(t, s.moves(t))
			loss := r.Status().Loss
			require.NotNil(t, loss)
			require.True(t, loss.Healed)
			require.Positive(t, loss.Events)
			stop()
		})
	}
}

// TestALossIsOnlyReported leaves it to a person what to do.
func TestALossIsOnlyReported(t *testing.T) {
	t.Parallel()
	for _, heal := range []relay.Heal{relay.HealReport, relay.HealOff} {
		t.Run(string(heal), func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			server := harness.StartNATS(t, harness.NATSOptions{})
			s := newStream(t, server.URL, "reported")
			r := startRelay(t, db.URL, s.publisher(t), func(c *relay.Config) { c.Heal = heal })
			for range 5 {
				publishOne(t, db, s.subject+".old")
			}
			requireSettled(t, db.Pool)
			server.Stop()
			server.Reset(nil)
			publishOne(t, db, s.subject+".new")
			require.Eventually(t, func() bool { return s.count() == 1 }, 30*time.Second, 20*time.Millisecond)
			requireSettled(t, db.Pool)
			require.Equal(t, s.subject+".new", s.read(t)[0].Subject())
			if heal == relay.HealOff {
				require.Nil(t, r.Status().Loss)
				return
			}
			require.EqualValues(t, 5, r.Status().Loss.Events)
			require.False(t, r.Status().Loss.Healed)
			require.Contains(t, r.Status().Loss.Cause, "deleted and created anew")
		})
	}
}

// TestAStreamIsRecreated deletes it while the connection stays.
func TestAStreamIsRecreated(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "recreated")
	g := newGame(t, db, 30, s.subject)
	startRelay(t, db.URL, s.publisher(t), nil)
	g.run(t, 4, time.Second)
	requireSettled(t, db.Pool)
	require.NoError(t, s.admin(t).DeleteStream(t.Context(), s.name))
	g.run(t, 4, time.Second)
	require.Eventually(t, func() bool { return s.count() == total(g.committed(t)) }, 30*time.Second, 50*time.Millisecond)
	requireSettled(t, db.Pool)
	g.requireWhole(t, s.moves(t))
}

// TestAPurgeByHandIsHealed waits out the stream's duplicate window, in which it would drop what is sent again.
func TestAPurgeByHandIsHealed(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "emptied")
	s.window = shortWindow
	r := startRelay(t, db.URL, s.publisher(t), nil)
	for range 5 {
		publishOne(t, db, s.subject+".x")
	}
	requireSettled(t, db.Pool)
	stream, err := s.admin(t).Stream(t.Context(), s.name)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	require.Eventually(t, func() bool { return s.count() == 5 }, time.Minute, 50*time.Millisecond)
	require.Contains(t, r.Status().Loss.Cause, "purged by hand")
	requireSettled(t, db.Pool)
}

// TestWhatStreamsRemoveByThemselvesIsNoLoss has limits and consumers remove what was acknowledged.
func TestWhatStreamsRemoveByThemselvesIsNoLoss(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*natsjs.StreamConfig){
		"max_msgs":   func(c *natsjs.StreamConfig) { c.MaxMsgs = 3 },
		"work queue": func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy },
		"max_age":    func(c *natsjs.StreamConfig) { c.MaxAge = 2 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			s := newStream(t, harness.NATS(t), "limited-"+strings.ReplaceAll(name, " ", "-"))
			s.window = shortWindow
			admin := s.admin(t)
			cfg := natsjs.StreamConfig{Name: s.name, Subjects: []string{s.subject + ".>"}, Duplicates: shortWindow, AllowBatchPublish: true}
			change(&cfg)
			stream, err := admin.CreateStream(t.Context(), cfg)
			require.NoError(t, err)
			_, stop := runRelay(t, db.URL, s.publisher(t), nil)
			for range 10 {
				publishOne(t, db, s.subject+".x")
			}
			requireSettled(t, db.Pool)
			stop()
			if cfg.Retention == natsjs.WorkQueuePolicy {
				consumer, err := stream.CreateConsumer(t.Context(), natsjs.ConsumerConfig{AckPolicy: natsjs.AckExplicitPolicy})
				require.NoError(t, err)
				batch, err := consumer.Fetch(10)
				require.NoError(t, err)
				for msg := range batch.Messages() {
					require.NoError(t, msg.DoubleAck(t.Context()))
				}
			}
			require.Eventually(t, func() bool { return s.count() < 10 }, 20*time.Second, 50*time.Millisecond)
			<-time.After(2 * shortWindow) // a purge by hand would be healed now

			r := startRelay(t, db.URL, s.publisher(t), nil)
			publishOne(t, db, s.subject+".after")
			requireSettled(t, db.Pool)
			require.Nil(t, r.Status().Loss)
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 11, info.State.LastSeq, "nothing is sent again")
		})
	}
}

// TestAFewLargeEventsExceedALimit has a stream drop its oldest events that they do not fill to nine tenths.
func TestAFewLargeEventsExceedALimit(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "large")
	s.window = shortWindow
	stream := s.create(t, func(c *natsjs.StreamConfig) { c.MaxBytes = 1_000_000 })
	_, stop := runRelay(t, db.URL, s.publisher(t), nil)
	for range 6 {
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: s.subject + ".x", Payload: make([]byte, 290_000)}))
	}
	requireSettled(t, db.Pool)
	require.Equal(t, 3, s.count())
	<-time.After(2 * shortWindow) // a purge by hand would be healed now
	stop()

	r := startRelay(t, db.URL, s.publisher(t), nil)
	publishOne(t, db, s.subject+".after")
	requireSettled(t, db.Pool)
	require.Nil(t, r.Status().Loss)
	requireLast(t, stream, 7)
	c := newCLI(t, db.URL, "OUTBOX_MQ_NATS_URL="+s.url, "OUTBOX_MQ_STREAM_NAME="+s.name, "OUTBOX_MQ_SUBJECTS="+s.subject+".>")
	got := c.run(t, "verify")
	require.Zero(t, got.code, got.err)
	require.Regexp(t, "expired +3: max_bytes is 1000000", got.out)
}

// TestALimitThatWasLiftedIsNoLoss lifts a limit that has removed events: with the limits of now only a person could have done that.
func TestALimitThatWasLiftedIsNoLoss(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ limit, lift func(*natsjs.StreamConfig) }{
		"discard": {
			func(c *natsjs.StreamConfig) { c.MaxMsgs = 3 },
			func(c *natsjs.StreamConfig) { c.Discard, c.MaxMsgs = natsjs.DiscardNew, 1000 },
		},
		"max_msgs":  {func(c *natsjs.StreamConfig) { c.MaxMsgs = 3 }, func(c *natsjs.StreamConfig) { c.MaxMsgs = -1 }},
		"max_bytes": {func(c *natsjs.StreamConfig) { c.MaxBytes = 1000 }, func(c *natsjs.StreamConfig) { c.MaxBytes = -1 }},
		"max_age":   {func(c *natsjs.StreamConfig) { c.MaxAge = 2 * time.Second }, func(c *natsjs.StreamConfig) { c.MaxAge = 0 }},
		"max_msgs_per_subject": {
			func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 1 },
			func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = -1 },
		},
	} {
		for when, relayIsDown := range map[string]bool{"while the relay runs": false, "while it is down": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				db := harness.Postgres(t)
				s := newStream(t, harness.NATS(t), strings.ReplaceAll("lifted-"+name+"-"+when, " ", "-"))
				s.window = shortWindow
				stream := s.create(t, c.limit)
				_, stop := runRelay(t, db.URL, s.publisher(t), nil)
				for range 10 {
					publishOne(t, db, s.subject+".x")
				}
				requireSettled(t, db.Pool)
				require.Eventually(t, func() bool { return s.count() < 10 }, 20*time.Second, 50*time.Millisecond)
				if relayIsDown {
					stop()
				}
				cfg := stream.CachedInfo().Config
				c.lift(&cfg)
				_, err := s.admin(t).UpdateStream(t.Context(), cfg)
				require.NoError(t, err)
				<-time.After(2 * shortWindow) // a purge by hand would be healed now
				if !relayIsDown {
					stop()
				}

				r := startRelay(t, db.URL, s.publisher(t), nil)
				publishOne(t, db, s.subject+".after")
				requireSettled(t, db.Pool)
				requireLast(t, stream, 11)
				if loss := r.Status().Loss; loss != nil {
					require.True(t, loss.Doubtful)
					require.Contains(t, loss.Cause, "limits were changed")
				}
			})
		}
	}
}

// TestAPurgeByHandIsProven has relays tell a purge from what a limit has removed: one that was not reached, and one that was before.
func TestAPurgeByHandIsProven(t *testing.T) {
	t.Parallel()
	for name, relayIsDown := range map[string]bool{"while the relay runs": false, "while it is down": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			s := newStream(t, harness.NATS(t), strings.ReplaceAll("unreached-"+name, " ", "-"))
			s.window = shortWindow
			stream := s.create(t, func(c *natsjs.StreamConfig) { c.MaxMsgs = 1000 })
			r, stop := runRelay(t, db.URL, s.publisher(t), nil)
			for range 5 {
				publishOne(t, db, s.subject+".x")
			}
			requireSettled(t, db.Pool)
			if relayIsDown {
				stop()
			}
			require.NoError(t, stream.Purge(t.Context()))
			if relayIsDown {
				<-time.After(2 * shortWindow) // the stream forgets what was purged
				r = startRelay(t, db.URL, s.publisher(t), nil)
			}
			require.Eventually(t, func() bool { return s.count() == 5 }, time.Minute, 50*time.Millisecond)
			requireSettled(t, db.Pool)
			require.Contains(t, r.Status().Loss.Cause, "purged by hand")
			require.False(t, r.Status().Loss.Doubtful)
			if !relayIsDown {
				stop()
			}
		})
	}
}

// create creates the stream with limits that its publisher would not give it.
func (s stream) create(t *testing.T, change func(*natsjs.StreamConfig)) natsjs.Stream {
	t.Helper()
	cfg := natsjs.StreamConfig{Name: s.name, Subjects: []string{s.subject + ".>"}, Duplicates: s.window, AllowBatchPublish: true}
	change(&cfg)
	created, err := s.admin(t).CreateStream(t.Context(), cfg)
	require.NoError(t, err)
	return created
}

// requireLast requires that a stream ends at a sequence: nothing was sent again.
func requireLast(t *testing.T, stream natsjs.Stream, last uint64) {
	t.Helper()
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, info.State.LastSeq, "something is sent again")
}

// TestAStandbyIsPromotedThatHasLostItsTail lets it hand out again the ids of events that were published.
func TestAStandbyIsPromotedThatHasLostItsTail(t *testing.T) {
	t.Parallel()
	pair := harness.StartPostgresPair(t)
	db := pair.Primary.Database(t)
	s := newStream(t, harness.NATS(t), "promoted")
	p := newProcess(t, pair.URL(db), s)
	p.start()
	p.requireReady()
	insert := func(url, what string, n int) {
		t.Helper()
		_, err := connect(t, url).Exec(t.Context(), `insert into outbox.events (subject, key, payload)
			select $1 || '.' || $2, 'k' || i % 7, convert_to($2 || i, 'UTF8') from generate_series(1, $3::int) as i`, s.subject, what, n)
		require.NoError(t, err)
	}
	insert(db.URL, "before", 500)
	requireSettled(t, db.Pool)
	awaitReplay(t, pair)
	pair.CutOff()
	insert(db.URL, "lost", 500)
	require.Eventually(t, func() bool { return s.count() == 1000 }, 30*time.Second, 20*time.Millisecond)
	requireSettled(t, db.Pool)
	var lostIDs int64
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select max(id) from outbox.events").Scan(&lostIDs))

	pair.Primary.Kill()
	pair.Promote()
	insert(pair.URL(db), "after", 700)
	survivor := connect(t, pair.URL(db))
	var reissued int
	require.NoError(t, survivor.QueryRow(t.Context(), "select count(*) from outbox.events where id <= $1 and subject like '%.after'", lostIDs).Scan(&reissued))
	require.Positive(t, reissued, "ids were handed out twice")
	requireSettled(t, survivor)

	counts := map[string]int{}
	for _, msg := range s.read(t) {
		counts[msg.Subject()]++
	}
	require.Equal(t, 500, counts[s.subject+".before"], "once each")
	require.Equal(t, 700, counts[s.subject+".after"], "every event that the new primary has")
	t.Logf("%d ids were handed out twice", reissued)
}

// awaitReplay waits until the standby has everything.
func awaitReplay(t *testing.T, pair *harness.PostgresPair) {
	t.Helper()
	primary, standby := connect(t, pair.Primary.URL), connect(t, pair.Standby.URL)
	require.Eventually(t, func() bool {
		var behind bool
		var lsn string
		require.NoError(t, primary.QueryRow(t.Context(), "select pg_current_wal_lsn()::text").Scan(&lsn))
		require.NoError(t, standby.QueryRow(t.Context(), "select coalesce(pg_last_wal_replay_lsn() < $1::text::pg_lsn, true)", lsn).Scan(&behind))
		return !behind
	}, 30*time.Second, 50*time.Millisecond)
}

// admin is a connection to the stream's server that the relay does not use.
func (s stream) admin(t testing.TB) natsjs.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	return js
}
