package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay"
)

func TestWithinReturnsWhatTheWorkReturns(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	require.NoError(t, within(t.Context(), time.Hour, func(context.Context) error { return nil }))
	require.Equal(t, broken, within(t.Context(), time.Hour, func(context.Context) error { return broken }))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, broken, within(ctx, time.Hour, func(ctx context.Context) error { <-ctx.Done(); return broken }))
}

func TestWithinGivesUpWorkThatHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	defer close(hang)
	err := within(ctx, time.Millisecond, func(context.Context) error { cancel(); <-hang; return nil })
	require.ErrorContains(t, err, "did not stop within 1ms")
}

func TestAbandonable(t *testing.T) {
	t.Parallel()
	require.NoError(t, abandonable(func() {})(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	defer close(hang)
	require.ErrorIs(t, abandonable(func() { cancel(); <-hang })(ctx), context.Canceled)
}

// brokenBroker is a publisher whose Connect ends with an error.
type brokenBroker struct {
	relay.Publisher
	err error
}

func (b brokenBroker) Connect(context.Context) error { return b.err }

func TestConnectForgivesABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	settings := settingsWith(t, "OUTBOX_MQ_NATS_URL=nats://relay:hunter2@n1")
	for _, err := range []error{nil, fmt.Errorf("gone: %w", relay.ErrUnavailable), context.DeadlineExceeded, errors.New("odd")} {
		require.NoError(t, connect(t.Context(), brokenBroker{err: err}, settings))
	}
}

func TestConnectRefusesABrokerThatMustBeChanged(t *testing.T) {
	t.Parallel()
	settings := settingsWith(t, "OUTBOX_MQ_NATS_URL=nats://relay:hunter2@n1")
	cause := fmt.Errorf("no stream: %w", relay.ErrMisconfigured)
	require.Equal(t, &failure{
		what: "the broker cannot take the events", cause: cause,
		value: "mq.nats_url is nats://relay:[hidden]@n1 (OUTBOX_MQ_NATS_URL)",
		next:  "change the broker or the section mq as the cause says, then start again",
	}, connect(t.Context(), brokenBroker{err: cause}, settings))
}

func TestConnectEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := connect(ctx, brokenBroker{err: context.Canceled}, settingsWith(t))
	require.ErrorIs(t, err, context.Canceled)
}

func TestWhichPublisherIsChosen(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"noop":      nil,
		"jetstream": {"OUTBOX_MQ_STREAM_NAME=x"},
		"redis":     {"OUTBOX_REDIS_HOST=cache"},
	} {
		publisher, err := newPublisher(settingsWith(t, env...), quietLog())
		require.NoError(t, err)
		require.Equal(t, name, publisher.Name())
		require.NoError(t, publisher.Close(t.Context()))
	}
}

func TestRedisWithoutNATSIsTheBroker(t *testing.T) {
	t.Parallel()
	publisher, err := newPublisher(settingsWith(t, "OUTBOX_MQ_NATS_URL=", "OUTBOX_REDIS_HOST=cache"), quietLog())
	require.NoError(t, err)
	require.Equal(t, "redis", publisher.Name())
	require.NoError(t, publisher.Close(t.Context()))

	cause := fmt.Errorf("no right: %w", relay.ErrMisconfigured)
	err = connect(t.Context(), brokenBroker{err: cause}, settingsWith(t, "OUTBOX_REDIS_HOST=cache"))
	f := (*failure)(nil)
	require.ErrorAs(t, err, &f)
	require.Equal(t, "redis.host is cache (OUTBOX_REDIS_HOST)", f.value)
	require.Contains(t, f.next, "section redis")
}

func TestRedisBesideNATSIsItsFallback(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := newLogger(config.DefaultLog(), &out)
	require.NoError(t, err)
	env := []string{"OUTBOX_MQ_NATS_URL=nats://n", "OUTBOX_REDIS_HOST=cache", "OUTBOX_REDIS_PASSWORD=hunter2"}
	publisher, err := newPublisher(settingsWith(t, env...), log)
	require.NoError(t, err)
	require.Equal(t, "jetstream", publisher.Name())
	require.NoError(t, publisher.Close(t.Context()))
	require.Implements(t, (*relay.Switcher)(nil), publisher)
	require.Empty(t, out.String())
}

func TestNoopIsChosenLoudly(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := newLogger(config.DefaultLog(), &out)
	require.NoError(t, err)
	_, err = newPublisher(settingsWith(t), log)
	require.NoError(t, err)
	require.Contains(t, out.String(), "MQ not configured, using noop publisher")
	require.Contains(t, out.String(), `"level":"warn"`)
}

func TestPortOfTheAdminServerIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()

	d := &daemon{settings: settingsWith(t, "OUTBOX_ADMIN_LISTEN="+address), log: quietLog()}
	_, err = d.listen(t.Context())
	f := (*failure)(nil)
	require.ErrorAs(t, err, &f)
	require.ErrorContains(t, f.cause, "address already in use")
	require.Equal(t, "admin.listen is "+address+" (OUTBOX_ADMIN_LISTEN)", f.value)
	require.NotEmpty(t, f.next)
}

func TestAdminServerCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	d := &daemon{settings: settingsWith(t, "OUTBOX_ADMIN_LISTEN="), log: quietLog()}
	server, err := d.listen(t.Context())
	require.NoError(t, err)
	require.Nil(t, server)
	server.start(nil, nil)
	require.NoError(t, server.close(t.Context()))
}

func TestStopDuringTheStartIsClean(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers, so the start hangs in it
	require.NoError(t, err)
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := silent.Accept(); err == nil {
			cancel()
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1)) // returns when the relay has given up
		}
	}()
	got := call{
		args: []string{"run", "--admin.listen="},
		env:  []string{"OUTBOX_POSTGRES_URL=postgres://relay@" + silent.Addr().String() + "/game?sslmode=disable"},
	}.runUntil(ctx)
	require.Equal(t, codeOK, got.code, got.err)
	require.Contains(t, got.err, `"message":"stopped"`)
}

func TestAConnectionThatMayBePlainIsWarnedOf(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"postgres://relay:hunter2@db.example/game": true, "postgres://relay:hunter2@db.example/game?sslmode=disable": false,
		"postgres://relay:hunter2@127.0.0.1/game": false,
	} {
		var out bytes.Buffer
		log, err := newLogger(config.DefaultLog(), &out)
		require.NoError(t, err)
		warnOfPlain(log, settingsWith(t, "OUTBOX_POSTGRES_URL="+url))
		require.Equal(t, want, strings.Contains(out.String(), "connections to Postgres may be unencrypted"), url)
		require.NotContains(t, out.String(), "hunter2")
	}
}
