package outbox_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// sentHeaders publishes event and returns the headers that reached the database.
func sentHeaders(t *testing.T, ctx context.Context, w outbox.Writer, event outbox.Raw) map[string]string {
	t.Helper()
	var db recorder
	require.NoError(t, w.Publish(ctx, &db, event))
	text := db.one(t)[3].(string)
	if text == "" {
		return nil
	}
	var headers map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &headers))
	return headers
}

func TestPublishAddsTheTraceContextOfTheContext(t *testing.T) {
	t.Parallel()
	ctx := outbox.ContextWithTrace(t.Context(), traceparent, "vendor=1")
	own := map[string]string{"x-shard": "7"}
	got := sentHeaders(t, ctx, outbox.Writer{}, outbox.Raw{Subject: "a", Headers: own})
	assert.Equal(t, map[string]string{"x-shard": "7", "traceparent": traceparent, "tracestate": "vendor=1"}, got)
	assert.Equal(t, map[string]string{"x-shard": "7"}, own, "the caller's map is left alone")
}

func TestPublishAddsTheTraceContextToEveryEventAndThroughSQL(t *testing.T) {
	t.Parallel()
	ctx := outbox.ContextWithTrace(t.Context(), traceparent, "")
	var db recorder
	var sqlDB sqlRecorder
	require.NoError(t, outbox.PublishSQL(ctx, &sqlDB, levelUp{}))
	require.NoError(t, outbox.Publish(ctx, &db, levelUp{}, levelUp{}))
	want := `{"traceparent":"` + traceparent + `"}`
	assert.Equal(t, want, sqlDB.one(t)[3])
	assert.Equal(t, []string{want, want}, db.one(t)[3])
}

func TestWriterTakesTheTraceContextFromItsFunction(t *testing.T) {
	t.Parallel()
	w := outbox.Writer{TraceContext: func(context.Context) (string, string) { return traceparent, "" }}
	ctx := outbox.ContextWithTrace(t.Context(), strings.ReplaceAll(traceparent, "1", "2"), "vendor=1")
	assert.Equal(t, map[string]string{"traceparent": traceparent}, sentHeaders(t, ctx, w, outbox.Raw{Subject: "a"}))
}

func TestHeadersOfTheEventWinOverTheTraceContext(t *testing.T) {
	t.Parallel()
	ctx := outbox.ContextWithTrace(t.Context(), traceparent, "vendor=1")
	for _, name := range []string{"traceparent", "Traceparent", "tracestate", "TraceState"} {
		own := map[string]string{name: "own"}
		assert.Equal(t, own, sentHeaders(t, ctx, outbox.Writer{}, outbox.Raw{Subject: "a", Headers: own}), name)
	}
}

func TestAnInvalidTraceContextIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parent, state string
		want          map[string]string
	}{
		"none":                  {"", "", nil},
		"state alone":           {"", "vendor=1", nil},
		"too short":             {traceparent[:54], "vendor=1", nil},
		"too long for 00":       {traceparent + "-x", "", nil},
		"capital letters":       {strings.ToUpper(traceparent), "", nil},
		"no hex":                {strings.Replace(traceparent, "0af", "0ag", 1), "", nil},
		"dashes missing":        {strings.Replace(traceparent, "-", "0", 1), "", nil},
		"version ff":            {"ff" + traceparent[2:], "", nil},
		"trace id of zeros":     {"00-" + strings.Repeat("0", 32) + traceparent[35:], "", nil},
		"parent id of zeros":    {traceparent[:36] + strings.Repeat("0", 16) + "-01", "", nil},
		"later version":         {"01" + traceparent[2:] + "-more", "", map[string]string{"traceparent": "01" + traceparent[2:] + "-more"}},
		"later version, no gap": {"01" + traceparent[2:] + "more", "", nil},
		"later, line feed":      {"01" + traceparent[2:] + "-\nx", "", nil},
		"state with line feed":  {traceparent, "a=\r\nNats-Msg-Id: x", map[string]string{"traceparent": traceparent}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := outbox.ContextWithTrace(t.Context(), c.parent, c.state)
			assert.Equal(t, c.want, sentHeaders(t, ctx, outbox.Writer{}, outbox.Raw{Subject: "a"}))
		})
	}
}

// An event that fits without it must not be refused because of it.
func TestATraceContextThatDoesNotFitIsLeftOut(t *testing.T) {
	t.Parallel()
	ctx := outbox.ContextWithTrace(t.Context(), traceparent, "")
	own := map[string]string{"a": strings.Repeat("x", 32<<10-50)}
	assert.Equal(t, own, sentHeaders(t, ctx, outbox.Writer{}, outbox.Raw{Subject: "a", Headers: own}))
}
