package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// link is a connection with a stream behind it that was looked at.
type link struct {
	*session
	target *target
	down   <-chan struct{} // closed when the connection is lost through which the stream was looked at
}

// current returns the link, or nil where the stream must be looked at first.
func (s *session) current() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target == nil || s.refusal != nil || !s.nc.IsConnected() {
		return nil
	}
	return &link{session: s, target: s.target, down: s.down}
}

// ready looks at the stream, creates it if it is missing, and returns the link.
func (s *session) ready(ctx context.Context) (*link, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if err := s.checkConnected(); err != nil {
		return nil, err
	}
	info, err := s.lookAt(ctx)
	if err != nil {
		return nil, err
	}
	return s.adopt(down, info)
}

// adopt keeps what was seen, unless the connection was lost meanwhile.
func (s *session) adopt(down <-chan struct{}, info *jsapi.StreamInfo) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-down:
		return nil, s.outage()
	default:
	}
	fast := info.Config.AllowBatchPublish && knowsFastIngest(s.nc.ConnectedServerVersion()) && !s.notFast
	s.target = s.newTarget(info, fast)
	s.announce(info)
	return &link{session: s, target: s.target, down: down}, nil
}

// announce logs a new connection. It needs the lock.
func (s *session) announce(info *jsapi.StreamInfo) {
	if s.announced {
		return
	}
	s.announced = true
	s.log.Info("NATS JetStream connected successfully",
		zap.String("stream", info.Config.Name), zap.String("mode", s.target.mode()),
		zap.String("server", s.nc.ConnectedServerName()), zap.String("version", s.nc.ConnectedServerVersion()))
	if found := differences(info.Config, s.cfg, knowsFastIngest(s.nc.ConnectedServerVersion())); len(found) > 0 {
		s.log.Warn("the stream differs from the configuration; it is left as it is",
			zap.String("stream", info.Config.Name), zap.Stringers("differences", found))
	}
	s.sizes.announce(s.log, s.nc.MaxPayload())
}

// invalidate makes the next Publish look at the stream again.
func (s *session) invalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = nil
}

// giveUpFastIngest is for a server that refuses fast ingest although it said that the stream allows it.
func (s *session) giveUpFastIngest(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target, s.notFast = nil, true
	s.log.Warn("fast ingest is refused; events go by keyed async until the next connection", zap.Error(cause))
}

// lookAt returns the stream, created if it is missing.
func (s *session) lookAt(ctx context.Context) (*jsapi.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	ctx, unwatch := s.watchDenied(ctx)
	defer unwatch()
	info, err := s.findOrCreate(ctx)
	if err != nil {
		return nil, s.explainAPI(ctx, err)
	}
	if err := unfit(info.Config); err != nil {
		return nil, err
	}
	if info.State.LastSeq > math.MaxInt64 {
		return nil, fmt.Errorf("%w: stream %q is said to end at sequence %d, which no stream reaches", relay.ErrUnavailable,
			info.Config.Name, info.State.LastSeq)
	}
	return info, unled(info)
}

// unled returns an error where it is not the leader of a replicated stream that describes it. The
// others answer too while there is none, and for the first ten seconds after their start, with what
// they have applied so far (jsStreamInfoRequest in nats-server's jetstream_api.go). A leader does
// not name itself among the replicas.
func unled(info *jsapi.StreamInfo) error {
	if info.Cluster == nil {
		return nil // a server on its own leads all its streams and says nothing
	}
	leader := info.Cluster.Leader
	if leader == "" {
		return fmt.Errorf("%w: stream %q has no leader", relay.ErrUnavailable, info.Config.Name)
	}
	if slices.ContainsFunc(info.Cluster.Replicas, func(r *jsapi.PeerInfo) bool { return r.Name == leader }) {
		return fmt.Errorf("%w: stream %q is described by a server that has just started; its leader %s is asked again",
			relay.ErrUnavailable, info.Config.Name, leader)
	}
	return nil
}

// watcher ends a context when the server denies a permission for its API.
type watcher struct{ cancel context.CancelCauseFunc }

// watchDenied returns a context that ends, with the cause, when the server denies a permission for its API. It
// would otherwise just not answer.
func (s *session) watchDenied(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watcher{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[w] = struct{}{}
	if s.refusal != nil {
		cancel(s.refusal)
	}
	return ctx, func() {
		s.mu.Lock()
		delete(s.watchers, w)
		s.mu.Unlock()
		cancel(nil)
	}
}

func (s *session) findOrCreate(ctx context.Context) (*jsapi.StreamInfo, error) {
	info, err := s.info(ctx)
	if !errors.Is(err, jsapi.ErrStreamNotFound) {
		return info, err
	}
	if !s.cfg.CreateStream {
		return nil, fmt.Errorf("%w: there is no stream %q; create it with: %s; or set mq.create_stream to true",
			relay.ErrMisconfigured, s.cfg.StreamName, s.cfg.addCommand())
	}
	stream, err := s.api.CreateStream(ctx, s.cfg.stream(knowsFastIngest(s.nc.ConnectedServerVersion())))
	switch {
	case err == nil:
		s.log.Info("stream created", zap.String("stream", s.cfg.StreamName), zap.Strings("subjects", s.cfg.Subjects))
		return stream.CachedInfo(), nil
	case errors.Is(err, jsapi.ErrStreamNameAlreadyInUse):
		return s.info(ctx) // another relay was faster
	case apiCode(err) == codeSubjectsOverlap:
		return nil, s.overlap(ctx)
	}
	return nil, err
}

func (s *session) info(ctx context.Context) (*jsapi.StreamInfo, error) {
	stream, err := s.api.Stream(ctx, s.cfg.StreamName)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// overlap names the streams that own the subjects already.
func (s *session) overlap(ctx context.Context) error {
	var owners []string
	for _, subject := range s.cfg.Subjects {
		owner, err := s.api.StreamNameBySubject(ctx, subject)
		if err == nil && !slices.Contains(owners, quote(owner)) {
			owners = append(owners, quote(owner))
		}
	}
	return fmt.Errorf("%w: stream %q cannot be created: its subjects %s belong to stream %s already; "+
		"set mq.stream_name to that stream, or mq.subjects to other subjects, "+
		"or remove them from that stream with %s stream edit NAME --subjects=... --force",
		relay.ErrMisconfigured, s.cfg.StreamName, patterns(s.cfg.Subjects), strings.Join(owners, " and "), s.cfg.cli())
}

// explainAPI says why the stream could not be looked at or created.
func (s *session) explainAPI(ctx context.Context, err error) error {
	var denied *deniedError
	switch code := apiCode(err); {
	case errors.As(context.Cause(ctx), &denied):
		return denied
	case errors.Is(err, relay.ErrMisconfigured):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: NATS at %s is up, but %s does not answer: %w; %s",
			relay.ErrUnavailable, s.where, s.cfg.apiName(), err, s.cfg.apiAdvice())
	case code != 0:
		return s.explainRefusal(err, code)
	}
	return judgeClient(err).err
}

// explainRefusal treats a fault of the server as an outage, and everything else as a setting that it does not accept.
func (s *session) explainRefusal(err error, code int) error {
	const noPeers, noResources = 10005, 10023 // a server of the cluster is down or full, or too few exist
	if code == noPeers || code == noResources || errors.Is(judge(&apiError{Code: code}).err, relay.ErrUnavailable) {
		return fmt.Errorf("%w: stream %q cannot be made ready: %w", relay.ErrUnavailable, s.cfg.StreamName, err)
	}
	return fmt.Errorf("%w: stream %q cannot be made ready: %w; check the settings of mq, or create the stream with: %s",
		relay.ErrMisconfigured, s.cfg.StreamName, err, s.cfg.addCommand())
}

// apiCode returns the number of a refusal of the JetStream API, or 0 for any other error.
func apiCode(err error) int {
	var refusal jsapi.JetStreamError
	if errors.As(err, &refusal) && refusal.APIError() != nil {
		return int(refusal.APIError().ErrorCode)
	}
	return 0
}
