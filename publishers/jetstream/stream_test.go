package jetstream

import (
	"sync"
	"testing"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/relay"
)

const connectedText = "NATS JetStream connected successfully"

func logged(logs *observer.ObservedLogs, text string) []map[string]any {
	var fields []map[string]any
	for _, entry := range logs.FilterMessage(text).All() {
		fields = append(fields, entry.ContextMap())
	}
	return fields
}

func TestCreatesAMissingStream(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	cfg.DuplicateWindow, cfg.MaxAge, cfg.MaxBytes = 3*time.Minute, 48*time.Hour, 1<<30
	_, logs := connect(t, cfg)
	stream, err := s.admin().Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err)
	have := stream.CachedInfo().Config
	assert.Equal(t, cfg.Subjects, have.Subjects)
	assert.Equal(t, jsapi.FileStorage, have.Storage)
	assert.Equal(t, 1, have.Replicas)
	assert.Equal(t, 3*time.Minute, have.Duplicates)
	assert.Equal(t, 48*time.Hour, have.MaxAge)
	assert.EqualValues(t, 1<<30, have.MaxBytes)
	assert.Equal(t, jsapi.DiscardNew, have.Discard)
	assert.True(t, have.AllowBatchPublish)
	ready := logged(logs, connectedText)
	require.Len(t, ready, 1)
	assert.Equal(t, cfg.StreamName, ready[0]["stream"])
	assert.Equal(t, "fast ingest", ready[0]["mode"])
	assert.Empty(t, logs.FilterMessageSnippet("differs").All())
}

func TestDoesNotCreateAMissingStreamWhenToldSo(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	cfg.CreateStream = false
	p, _ := newPublisher(t, cfg)
	err := p.Connect(t.Context())
	requireMisconfigured(t, err, cfg.StreamName, "nats stream add", "mq.create_stream")
	_, err = s.admin().Stream(t.Context(), cfg.StreamName)
	require.ErrorIs(t, err, jsapi.ErrStreamNotFound)

	outcomes, err := p.Publish(t.Context(), testEvents(cfg, 2, 1))
	requireMisconfigured(t, err, cfg.StreamName)
	require.Equal(t, make([]relay.Outcome, 2), outcomes)

	_, err = s.admin().CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	outcomes, err = p.Publish(t.Context(), testEvents(cfg, 2, 1))
	require.NoError(t, err, "it heals by itself")
	require.True(t, outcomes[1].Stored)
}

func TestReportsDifferencesAndLeavesTheStreamAlone(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	stream := cfg.stream(false)
	stream.Storage, stream.Duplicates, stream.MaxMsgSize = jsapi.MemoryStorage, time.Minute, 5000
	_, err := s.admin().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	before, err := s.admin().Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err)

	_, logs := connect(t, cfg)
	reports := logged(logs, "the stream differs from the configuration; it is left as it is")
	require.Len(t, reports, 1, "one line")
	require.Len(t, reports[0]["differences"], 4)
	require.Equal(t, "keyed async", logged(logs, connectedText)[0]["mode"])
	after, err := s.admin().Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err)
	require.Equal(t, before.CachedInfo().Config, after.CachedInfo().Config)
}

func TestNamesTheStreamThatOwnsTheSubjects(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	other := cfg
	other.StreamName, other.Subjects = cfg.StreamName+"-owner", []string{cfg.Subjects[0][:len(cfg.Subjects[0])-1] + "player.*"}
	_, err := s.admin().CreateStream(t.Context(), other.stream(true))
	require.NoError(t, err)
	p, _ := newPublisher(t, cfg)
	requireMisconfigured(t, p.Connect(t.Context()), `"`+other.StreamName+`"`, cfg.Subjects[0], "mq.subjects")
}

func TestUnfitStreamsAreRefused(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	stream := cfg.stream(true)
	_, err := s.admin().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.Sealed = true })
	p, _ := newPublisher(t, cfg)
	requireMisconfigured(t, p.Connect(t.Context()), "sealed")
}

func TestSettingsThatTheServerRefusesForAStream(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	cfg.Replicas = 3
	p, _ := newPublisher(t, cfg)
	requireMisconfigured(t, p.Connect(t.Context()), "replicas > 1", "nats stream add")
}

// "Stream name already in use" is normal where several relays start at once.
func TestManyRelaysStartAtOnce(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	var starting sync.WaitGroup
	for i := range 8 {
		own := cfg
		own.MaxBytes = int64(i) * 1000 // so that the server does not take the requests for equal
		p, _ := newPublisher(t, own)
		starting.Go(func() { assert.NoError(t, p.Connect(t.Context())) })
	}
	starting.Wait()
}

func TestWarnsOfASmallMaxPayload(t *testing.T) {
	t.Parallel()
	for config, lines := range map[string]int{"": 1, "max_payload: 1114112": 0} {
		_, logs := connect(t, configFor(t, startServer(t, config).url()))
		told := logs.FilterMessage("NATS takes smaller events than Postgres")
		require.Equal(t, lines, told.Len(), config)
		require.Zero(t, told.FilterLevelExact(zap.WarnLevel).Len(), "every server that nobody has set up is so")
	}
}

func TestWithoutJetStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, `accounts { A { users: [{user: a, password: a}] } }`)
	cfg := configFor(t, s.url())
	cfg.User, cfg.Password = "a", "a"
	p, _ := newPublisher(t, cfg)
	err := p.Connect(t.Context())
	require.Error(t, err)
	require.Contains(t, []string{"misconfigured", "unavailable"}, kind(err))
	require.Contains(t, err.Error(), "JetStream")
}

func TestADeletedStreamIsCreatedAgain(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := shared(t)
		cfg := prepare(t, s, configFor(t, s.url()))
		p, _ := connect(t, cfg)
		require.NoError(t, s.admin().DeleteStream(t.Context(), cfg.StreamName))
		events := testEvents(cfg, 10, 2)
		require.Eventually(t, func() bool {
			outcomes, err := p.Publish(t.Context(), events)
			if err != nil {
				assert.Equal(t, "unavailable", kind(err), "%v", err)
				return false
			}
			return outcomes[9].Stored
		}, patience, 10*time.Millisecond)
		require.Equal(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName))
	})
}

func TestADeletedStreamThatMayNotBeCreated(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	require.NoError(t, p.Close(t.Context()))
	cfg.CreateStream = false
	p, _ = connect(t, cfg)
	require.NoError(t, s.admin().DeleteStream(t.Context(), cfg.StreamName))
	for _, n := range []int{1, 10} {
		_, err := p.Publish(t.Context(), testEvents(cfg, n, 2))
		requireMisconfigured(t, err, cfg.StreamName, "nats stream add")
	}
}
