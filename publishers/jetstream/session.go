package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/publishers/internal/trouble"
	"github.com/gameoutbox/relay/relay"
)

// replyQueue is how many answers may wait to be read. It is more than the events that may be
// unacknowledged, each of which the server may answer with an error, so that no answer is dropped.
const replyQueue = 4 * windowEvents

// session is one client of NATS and what is known of the stream through it. The client connects
// again by itself; a session ends when the server closes it for good, and then a new one replaces
// it.
type session struct {
	cfg     Config
	where   string // the servers, without secrets
	log     *zap.Logger
	changed func() // called when a connection was lost or made
	sizes   *sizes // of the publisher

	dialer  *dialer
	nc      *nats.Conn
	api     jsapi.JetStream
	inbox   string            // every answer comes to a subject below it
	replies chan *nats.Msg    // the answers to events
	denied  chan *deniedError // events that the user may not publish

	// Only Publish uses these.
	calls    uint64    // of Publish; part of each reply subject
	shared   time.Time // until when others are expected to write to the stream, see [batch.proven]
	singly   bool      // a batch ended without the server's last word, so the next events are sent singly
	diverted diversions
	alone    diversions  // subjects whose events one stream alone answers
	kept     relay.Event // the last event that was stored, and that is not large
	// swallowed are subjects that do not reach the stream, and get no answer.
	swallowed diversions
	others    others
	seen      relay.StreamState // the stream when it was looked at for the last silence

	strangers uint64 // answers that no stream gives
	strangeAt time.Time

	// ticker lets a Publish that waits look at the clock. A timer for each Publish would wake a thread for each.
	ticker *time.Ticker

	mu         sync.Mutex
	down       chan struct{}         // closed when the connection is lost
	target     *target               // nil until the stream was looked at through this connection
	notFast    bool                  // the server refused fast ingest through this connection
	announced  bool                  // the connection was logged
	refusal    *deniedError          // the user may not subscribe to the inbox
	watchers   map[*watcher]struct{} // told of a refusal that concerns the API, while one uses it
	offlineErr error                 // why the client does not get a new connection
	toldAt     time.Time             // when it was logged that a server sent too much
}

// open connects. It returns soon after ctx ends, also where the library does not know of ctx.
func open(ctx context.Context, cfg Config, log *zap.Logger, changed func()) (*session, error) {
	cfg, err := cfg.fresh()
	if err != nil {
		return nil, err
	}
	servers, problem := parseServers(cfg.NATSURL)
	if problem != "" {
		return nil, fmt.Errorf("%w: mq.nats_url is a list of servers in which %s", relay.ErrMisconfigured, problem)
	}
	s := &session{
		cfg: cfg, log: log, changed: changed,
		where:   hosts(servers),
		dialer:  &dialer{timeout: max(cfg.ConnectTimeout/time.Duration(len(servers)), 100*time.Millisecond)},
		replies: make(chan *nats.Msg, replyQueue),
		denied:  make(chan *deniedError, replyQueue),
		down:    make(chan struct{}),
		ticker:  time.NewTicker(cfg.PublishTimeout / 4),

		watchers: make(map[*watcher]struct{}),
		others:   others{twin: cfg.APIPrefix != ""},
	}
	if err := s.connect(ctx); err != nil {
		s.ticker.Stop()
		return nil, explainConnect(err, s.where, s.dialer)
	}
	return s, nil
}

func (s *session) connect(ctx context.Context) error {
	options, err := s.cfg.options(s.dialer)
	if err != nil {
		return err
	}
	if s.nc, err = dial(ctx, s.cfg.NATSURL, append(options, s.handlers()...)); err != nil {
		return err
	}
	s.inbox = s.nc.NewInbox()
	s.dialer.answers.inbox.Store(&s.inbox)
	if _, err = s.nc.ChanSubscribe(s.inbox+".>", s.replies); err == nil {
		s.api, err = s.cfg.api(s.nc)
	}
	if err != nil {
		s.nc.Close()
	}
	return err
}

// dial is nats.Connect with a context.
func dial(ctx context.Context, url string, options []nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(url, options...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func (s *session) handlers() []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { s.lost(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { s.regained() }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { s.offline(err) }),
		nats.ClosedHandler(func(nc *nats.Conn) { s.lost(nc.LastError()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.heard(err) }),
	}
}

// lost forgets what was known through the connection that is gone.
func (s *session) lost(err error) {
	s.mu.Lock()
	s.forget()
	s.offlineErr = err
	again := time.Since(s.toldAt) < strangeInterval
	if errors.As(err, new(*tooMuchError)) && !again {
		s.toldAt = time.Now()
		s.log.Error("connection to NATS ended for what the server sent", zap.String("server", s.where), zap.Error(err),
			zap.String("next", "check that mq.nats_url leads to your NATS servers, and their version"))
	}
	s.mu.Unlock()
	s.changed()
}

// forget needs the lock.
func (s *session) forget() {
	s.target, s.notFast, s.announced, s.refusal = nil, false, false, nil
	select {
	case <-s.down:
	default:
		close(s.down)
	}
}

func (s *session) regained() {
	s.mu.Lock()
	s.down = make(chan struct{})
	s.offlineErr = nil
	s.mu.Unlock()
	s.changed()
}

func (s *session) offline(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offlineErr = err
}

// heard takes an error that came outside of any answer. Those that do not concern permissions are
// followed by the end of the connection, which says more.
func (s *session) heard(err error) {
	defer trouble.Contain(s.log, "take an error of the connection")
	denied, ok := parseDenied(err)
	switch {
	case !ok:
		s.offline(err)
	case denied.aboutAPI(s.cfg.apiPrefix()):
		s.refused(denied)
	default:
		select {
		case s.denied <- denied:
		default: // Publish has more than enough of them, and tries the events again
		}
	}
}

func (s *session) refused(denied *deniedError) {
	s.mu.Lock()
	if denied.what == "subscribe" {
		s.refusal = denied
	}
	for each := range s.watchers {
		each.cancel(denied) // does not block
	}
	s.mu.Unlock()
}

// read notes that an answer was read, and returns it.
func (s *session) read(msg *nats.Msg) *nats.Msg {
	s.dialer.answers.take(msg)
	return msg
}

// checkConnected returns nil while there is a connection, and otherwise why there is none.
func (s *session) checkConnected() error {
	if s.nc.IsConnected() {
		return nil
	}
	s.mu.Lock()
	err := s.offlineErr
	s.mu.Unlock()
	if err == nil {
		err = nats.ErrConnectionReconnecting
	}
	// The library does not tell that it cannot read the file to sign in with.
	if _, unreadable := s.cfg.signIn(); unreadable != nil {
		return unreadable
	}
	return explainConnect(err, s.where, s.dialer)
}

// outage returns the error for events whose acknowledgement was lost with the connection.
func (s *session) outage() error {
	return fmt.Errorf("%w: the connection to NATS at %s was lost before the events were acknowledged",
		relay.ErrUnavailable, s.where)
}

// close ends the connection. When ctx ends first, it is broken off.
func (s *session) close(ctx context.Context) {
	s.ticker.Stop()
	closed := make(chan struct{})
	go func() {
		s.nc.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		s.dialer.close()
		<-closed
	}
}

// isGone tells whether a new session is needed. The client has given up, or the server refused a
// subscription, which is not asked for again on the same connection, or the credentials: the client
// keeps those that it began with, and they may have been rotated.
func (s *session) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nc.IsClosed() || s.refusal != nil || !s.nc.IsConnected() && s.offlineErr != nil && isSignIn(s.offlineErr)
}

var errClosed = errors.New("the publisher is closed")
