package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConsumerComesBackAfterAnOutage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Start(t.TempDir(), zaptest.NewLogger(t))
	require.NoError(t, err)
	defer s.Stop()
	url := s.URL()
	publish(t, url, 0, 100)

	var got []Delivery
	c, err := Consume(ctx, url, "game-events", func(d Delivery) { got = append(got, d) })
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.CaughtUp(ctx))

	s.Stop()
	_, err = nats.Connect(url)
	require.ErrorIs(t, err, nats.ErrNoServers)
	require.NoError(t, s.Resume())
	require.Equal(t, url, s.URL())
	publish(t, url, 100, 200)
	require.NoError(t, c.CaughtUp(ctx))

	require.Len(t, got, 200, "each once, the stored ones not again")
	for i, d := range got {
		assert.Equal(t, fmt.Sprint(i), d.EventID)
		assert.Equal(t, fmt.Sprint("player", i), d.Key)
		assert.Equal(t, fmt.Sprint("game.", i), d.Subject)
		assert.Equal(t, []byte("hello"), d.Data)
		assert.WithinDuration(t, time.Now(), d.Stored, time.Minute)
		assert.False(t, d.At.Before(d.Stored))
	}
}

func TestCaughtUpFindsWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	s, err := Start(t.TempDir(), zaptest.NewLogger(t))
	require.NoError(t, err)
	defer s.Stop()
	publish(t, s.URL(), 0, 3)
	deleteSecond(t, s.URL())
	c, err := Consume(t.Context(), s.URL(), "game-events", func(Delivery) {})
	require.NoError(t, err)
	defer c.Close()
	assert.ErrorIs(t, c.CaughtUp(t.Context()), errSkipped)
}

func TestStopAndResumeMayBeRepeated(t *testing.T) {
	t.Parallel()
	s, err := Start(t.TempDir(), zaptest.NewLogger(t))
	require.NoError(t, err)
	require.NoError(t, s.Resume())
	s.Stop()
	s.Stop()
}

func TestStartSaysThatItCannot(t *testing.T) {
	t.Parallel()
	_, err := Start("/dev/null/streams", zaptest.NewLogger(t))
	assert.ErrorContains(t, err, "embedded JetStream server: Can't start JetStream: storage directory is not a directory")
}

// publish stores the messages from..to-1, and makes the stream when it is not there.
func publish(t *testing.T, url string, from, to int) {
	t.Helper()
	js := connect(t, url)
	_, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "game-events", Subjects: []string{"game.>"}})
	require.NoError(t, err)
	for i := from; i < to; i++ {
		msg := &nats.Msg{Subject: fmt.Sprint("game.", i), Data: []byte("hello"), Header: nats.Header{}}
		msg.Header.Set(nats.MsgIdHdr, fmt.Sprint(i))
		msg.Header.Set("Outbox-Key", fmt.Sprint("player", i))
		_, err := js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
	}
}

func deleteSecond(t *testing.T, url string) {
	t.Helper()
	stream, err := connect(t, url).Stream(t.Context(), "game-events")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 2))
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}
