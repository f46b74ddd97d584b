package jetstream

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

type (
	streamConfig = jsapi.StreamConfig
	natsMsg      = nats.Msg
)

// provoke stores some messages in a new stream and then sends one that the server refuses. It returns the refusal.
func provoke(t *testing.T, change func(*streamConfig), before int, msg *nats.Msg) *apiError {
	t.Helper()
	js := shared(t).admin()
	cfg := configFor(t, "")
	stream := cfg.stream(true)
	sealed := false
	if change != nil {
		change(&stream)
		sealed, stream.Sealed = stream.Sealed, false // a stream cannot be created sealed
	}
	_, err := js.CreateStream(t.Context(), stream)
	require.NoError(t, err)
	if sealed {
		stream.Sealed = true
		_, err = js.UpdateStream(t.Context(), stream)
		require.NoError(t, err)
	}
	msg.Subject = strings.TrimSuffix(stream.Subjects[0], ">") + "x"
	for range before {
		_, err := js.Publish(t.Context(), msg.Subject, nil)
		require.NoError(t, err)
	}
	response, err := js.Conn().RequestMsg(msg, patience)
	require.NoError(t, err)
	a, err := parseAnswer(response)
	require.NoError(t, err)
	return a.Error
}

// update changes a stream behind the publisher's back.
func update(t testing.TB, js jsapi.JetStream, name string, change func(*streamConfig)) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	change(&cfg)
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
}

func requireMisconfigured(t testing.TB, err error, words ...string) {
	t.Helper()
	require.Equal(t, "misconfigured", kind(err), "%v", err)
	for _, word := range words {
		require.Contains(t, err.Error(), word)
	}
}

func isAPI(err error, code int) bool {
	var refusal *apiError
	return errors.As(err, &refusal) && refusal.Code == code
}
