package publishertest

import (
	"bytes"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func seq(e relay.Event) string { return strconv.FormatInt(e.ID, 10) }

func hasName(f *fixture) {
	require.Regexp(f, `^[a-z]+$`, f.publisher.Name())
}

func emptyBatch(f *fixture) {
	outcomes, err := f.publish(f.ctx, nil)
	require.NoError(f, err)
	require.Empty(f, outcomes)
	f.expectStored()
}

func oneEvent(f *fixture) {
	e := f.event("player-1")
	e.Headers["X-Region"] = "eu west: 1"
	f.mustStore([]relay.Event{e})
	f.expectStored(e)
}

func bareEvent(f *fixture) {
	full, bare, last := f.event("player-1"), f.event(""), f.event("player-2")
	bare.Headers, bare.Payload = nil, nil
	events := []relay.Event{full, bare, last}
	f.mustStore(events)
	f.expectStored(events...)
}

func payloads(f *fixture) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	bodies := [][]byte{
		{}, {0}, []byte("\r\n"), []byte("PUB game.x 1\r\nx\r\n"), []byte("\xff\xfe not UTF-8"), every,
		bytes.Repeat(every, f.harness.MaxPayload/256), make([]byte, f.harness.MaxPayload),
	}
	events := make([]relay.Event, len(bodies))
	for i, body := range bodies {
		events[i] = f.event("player-1")
		events[i].Payload = body
	}
	f.mustStore(events)
	f.expectStored(events...)
}

func nonASCII(f *fixture) {
	e := f.event("玩家-1 é \"quoted\" ")
	e.Key = e.Key[:len(e.Key)-1]
	e.Subject = f.place.Subject + ".玩家.升级"
	e.Headers = map[string]string{"X-Name": "小明 & José", "X-Empty": "", "x-lower": "1", "X-Tab": "a\tb"}
	events := []relay.Event{e, f.event("plain")}
	f.mustStore(events)
	f.expectStored(events...)
}

func reservedHeaders(f *fixture) {
	forged, honest := f.event("player-1"), f.event("player-1")
	forged.Headers = map[string]string{
		"Nats-Msg-Id": honest.EventID.String(), "nats-msg-id": "x", "Nats-Rollup": "all", "NATS-TTL": "1s",
		"Nats-Expected-Last-Msg-Id": "x", "Nats-Expected-Stream": "other", "Nats-Incr": "+1",
		"Outbox-Key": "other", "outbox-seq": "0", "X-Own": "stays",
	}
	f.mustStore([]relay.Event{forged})
	f.mustStore([]relay.Event{honest})
	forged.Headers = map[string]string{"X-Own": "stays"}
	f.expectStored(forged, honest)
}

// statusHeaders: no consumer may take an event for a word of its server. Such rows are older than
// the rule of the table.
func statusHeaders(f *fixture) {
	names := []string{"Status", "status", "STATUS", "Description", "dEscription"}
	events := f.events(3*len(names), 3)
	want := map[int]relay.Reason{}
	for i, name := range names {
		events[3*i+1].Headers = map[string]string{name: "404", "X-Own": "1"}
		events[3*i+1].Payload = nil
		want[3*i+1] = relay.ReasonBadHeader
	}
	events[0].Headers = map[string]string{"X-Status": "404", "Status-Code": "404", "Statuses": "x"}
	f.expectRefused(events, want)
}

// lineBreak: a header with a line break must neither forge a header nor be changed in silence.
func lineBreak(f *fixture) {
	bad, good := f.event("player-1"), f.event("player-1")
	bad.Headers = map[string]string{"X-Text": "a\r\nX-Forged: 1"}
	refused := f.deliver([]relay.Event{bad, good})
	if reason := refused[bad.ID]; reason != nil {
		require.Equal(f, relay.ReasonBadHeader, reason.Reason)
		f.expectStored(good)
		return
	}
	f.expectStored(bad, good)
}
