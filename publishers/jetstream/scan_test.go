package jetstream

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// withoutConsumer are the reasons for which no consumer can be made.
var withoutConsumer = map[string]func(t *testing.T) (*testServer, Config, []nats.Option){
	"the stream has as many as it may": func(t *testing.T) (*testServer, Config, []nats.Option) {
		s := startServer(t, "")
		return s, configFor(t, s.url()), nil
	},
	"the account has as many as it may": func(t *testing.T) (*testServer, Config, []nats.Option) {
		s := startServer(t, `accounts { A { jetstream: { max_consumers: 1 }, users: [{user: relay, password: relay}] } }`)
		cfg := configFor(t, s.url())
		cfg.User, cfg.Password = "relay", "relay"
		return s, cfg, []nats.Option{nats.UserInfo("relay", "relay")}
	},
	"the user may make none": func(t *testing.T) (*testServer, Config, []nats.Option) {
		s, cfg := restricted(t, `publish: { deny: ["$JS.API.CONSUMER.CREATE.>"] }`)
		return s, cfg, []nats.Option{asAdmin()}
	},
	"the user may ask none": func(t *testing.T) (*testServer, Config, []nats.Option) {
		s, cfg := restricted(t, `publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.>"] }`)
		return s, cfg, []nats.Option{asAdmin()}
	},
}

// A stream of which no consumer can be made is read all the same.
func TestScanWithoutAConsumer(t *testing.T) {
	t.Parallel()
	for name, place := range withoutConsumer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cfg, login := place(t)
			cfg.ConnectTimeout = patience // a permission that is missing is heard at once
			js := s.admin(login...)
			stream := cfg.stream(true)
			if login == nil {
				stream.MaxConsumers = 1
			}
			created, err := js.CreateStream(t.Context(), stream)
			require.NoError(t, err)
			_, err = created.CreateConsumer(t.Context(), jsapi.ConsumerConfig{Durable: "game"})
			require.NoError(t, err)
			p, _ := connect(t, cfg)
			requireReadBack(t, p, cfg, created)
		})
	}
}

// A header that is a word of the server to some clients is none here, with a consumer or without.
func TestScanOfHeadersThatMeanSomething(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 1} {
		s := startServer(t, "")
		cfg := configFor(t, s.url())
		stream := cfg.stream(true)
		stream.MaxConsumers = limit
		created, err := s.admin().CreateStream(t.Context(), stream)
		require.NoError(t, err)
		if limit == 1 {
			_, err = created.CreateConsumer(t.Context(), jsapi.ConsumerConfig{Durable: "game"})
			require.NoError(t, err)
		}
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 6, 3)
		eventually(t, p, events[:2])
		for i, status := range []string{"100", "404", "408", "409", "503"} {
			_, err := s.admin().PublishMsg(t.Context(), &nats.Msg{Subject: events[0].Subject, Header: nats.Header{
				"Status": {status}, "Description": {"Leadership Change"}, headerSeq: {strconv.Itoa(1000 + i)},
				headerID: {"00000000-0000-4000-8000-00000000000" + strconv.Itoa(i)}, "Nats-Pending-Messages": {"1"},
			}})
			require.NoError(t, err)
		}
		eventually(t, p, events[2:])
		for _, payloads := range []bool{false, true} {
			var found []int64
			require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: 11, Payloads: payloads}, func(e relay.StoredEvent) error {
				found = append(found, e.ID)
				return nil
			}))
			require.Equal(t, append(append(ids(events[:2]), 1000, 1001, 1002, 1003, 1004), ids(events[2:])...), found, "limit %d", limit)
		}
	}
}

// requireReadBack stores events, removes many, and reads the others in every way.
func requireReadBack(t *testing.T, p *Publisher, cfg Config, stream jsapi.Stream) {
	t.Helper()
	events := testEvents(cfg, 3*getWindow+5, 3)
	events[7].Headers = map[string]string{"trace": "a"}
	eventually(t, p, events[:getWindow])
	var since time.Time
	held := map[int64]bool{}
	for i := range events {
		held[events[i].ID] = true
	}
	remove := func(sequence uint64) {
		require.NoError(t, stream.DeleteMsg(t.Context(), sequence))
		delete(held, events[sequence-1].ID)
	}
	eventually(t, p, events[getWindow:])
	for sequence := uint64(20); sequence < 2*getWindow+10; sequence++ { // more than a window
		if sequence != 100 {
			remove(sequence)
		}
	}
	remove(uint64(len(events)))
	read := func(scan relay.Scan) (found []relay.StoredEvent) {
		require.NoError(t, p.Scan(t.Context(), scan, func(e relay.StoredEvent) error {
			found = append(found, e)
			return nil
		}))
		return found
	}
	all := relay.Scan{First: 1, Last: uint64(len(events)), Payloads: true}
	found := read(all)
	require.Len(t, found, len(held))
	for i, e := range found {
		require.True(t, held[e.ID])
		require.Equal(t, events[e.Sequence-1].Payload, e.Payload)
		require.Equal(t, events[e.Sequence-1].Headers, e.Headers)
		require.Equal(t, events[e.Sequence-1].Key, e.Key)
		require.True(t, i == 0 || found[i-1].Sequence < e.Sequence)
		if e.Sequence == 100 {
			since = e.StoredAt
		}
	}
	all.Since = since
	require.Equal(t, uint64(100), read(all)[0].Sequence)
	all.Since = since.Add(time.Hour)
	require.Empty(t, read(all))
	require.Equal(t, []relay.StoredEvent{found[3], found[4]}, read(relay.Scan{First: 4, Last: 5, Payloads: true}))
	require.Empty(t, read(relay.Scan{First: 30, Last: 40}))
}
