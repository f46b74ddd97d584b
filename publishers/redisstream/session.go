package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// session is what is known of the server, and three clients: one publishes, one looks whether the
// server is fit, one reads the stream back. Breaking the connections of the one does not end what
// waits for another.
type session struct {
	cfg    Config
	log    *zap.Logger
	cancel context.CancelFunc

	sender link
	looker link
	reader link
	id     string // of this publisher, part of the name of its gate
	calls  uint64 // of the script; only Publish uses it

	fit       atomic.Bool // the server was looked at, and nothing failed since
	refused   atomic.Bool // the Sentinels refused the credentials, of which the clients keep those that they began with
	server    atomic.Pointer[server]
	announced bool // the connection was logged
	warnings  *warnings
}

// server is what is known of the server.
type server struct {
	mode     mode
	maxValue int // bytes that one value may have
}

func open(cfg Config, log *zap.Logger, id string) *session {
	ctx, cancel := context.WithCancel(context.Background())
	return &session{
		cfg: cfg, log: log, cancel: cancel, id: id, warnings: new(warnings),
		sender: cfg.newLink(ctx, cfg.PublishTimeout+cfg.WaitTimeout), // the wait for replicas comes on top
		looker: cfg.newLink(ctx, cfg.ConnectTimeout),
		reader: cfg.newLink(ctx, cfg.ConnectTimeout),
	}
}

// close ends the connections. What waits for the server ends too.
func (s *session) close() error {
	s.cancel()
	s.sender.dialer.interrupt()
	s.looker.dialer.interrupt()
	s.reader.dialer.interrupt()
	return errors.Join(s.sender.Close(), s.looker.Close(), s.reader.Close())
}

// ready looks at the server and at the stream, and returns nil if events could be published now.
func (s *session) ready(ctx context.Context) error {
	primary, err := s.looker.primary(ctx)
	if err == nil {
		err = s.lookAt(ctx, primary)
	}
	if err == nil {
		s.fit.Store(true)
		return nil
	}
	return s.explain(ctx, err)
}

// answers returns nil if the server answers at all.
func (s *session) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	primary, err := s.looker.primary(ctx)
	if err == nil {
		err = primary.Ping(ctx).Err()
	}
	if err == nil {
		return nil
	}
	return s.explain(ctx, err)
}

// explain says what an error means that came of looking at the server.
func (s *session) explain(ctx context.Context, err error) error {
	s.doubt(ctx, err)
	answer, ok := errors.AsType[redis.Error](err)
	if ok && isOfSentinels(err) && isSignIn(newServerError(answer.Error())) {
		s.refused.Store(true)
	}
	err = s.cfg.judge(err).err
	if errors.Is(err, errSilent) {
		if s.looker.dialer.shaking.Load() {
			return s.cfg.unreachable(errHandshake)
		}
		return s.cfg.unreachable(errors.New("no answer within redis.connect_timeout"))
	}
	return err
}

// doubt makes the next Publish look at the server again.
func (s *session) doubt(ctx context.Context, err error) {
	s.fit.Store(false)
	refusal, refused := errors.AsType[*serverError](err)
	if answer, ok := errors.AsType[redis.Error](err); ok {
		refusal, refused = newServerError(answer.Error()), true
	}
	if refused && isMoved(refusal) {
		s.sender.moved(ctx)
		s.looker.moved(ctx)
		s.reader.moved(ctx)
	}
}

func (s *session) lookAt(ctx context.Context, primary *redis.Client) error {
	if s.server.Load() == nil || !s.fit.Load() {
		if err := s.meet(ctx, primary); err != nil {
			return err
		}
	}
	if err := s.rehearse(ctx, primary); err != nil {
		return err
	}
	s.announce(ctx, primary)
	s.warnings.replace(s.log, s.oddities(ctx, primary))
	return nil
}

// meet finds out what the server can do. After a failover it may be another server.
func (s *session) meet(ctx context.Context, primary *redis.Client) error {
	known := &server{mode: hashMode, maxValue: maxValue(ctx, primary)}
	idmp, err := knowsIDMP(ctx, primary)
	if err != nil {
		return err
	}
	if idmp {
		known.mode = idmpMode
		if err := s.widenIDMP(ctx, primary); err != nil {
			return err
		}
	}
	if err := primary.ScriptLoad(ctx, known.mode.text).Err(); err != nil {
		return err
	}
	s.server.Store(known)
	return nil
}

// knowsIDMP asks whether a stream of the server can recognise events by itself. A proxy or a user's
// rights may refuse COMMAND, in any words. There the script recognises them, with which every
// server can.
func knowsIDMP(ctx context.Context, primary *redis.Client) (bool, error) {
	answer, err := primary.Do(ctx, "COMMAND", "INFO", "XCFGSET").Result()
	refusal, ok := errors.AsType[redis.Error](err)
	if ok && !isOfSentinels(err) && aboutCommand(newServerError(refusal.Error())) {
		return false, nil
	}
	commands, _ := answer.([]any) // whatever else a proxy answers tells nothing
	return len(commands) == 1 && commands[0] != nil, err
}

// aboutCommand reports whether a refusal is one of the command alone, not of the whole connection.
func aboutCommand(refusal *serverError) bool {
	if strings.HasPrefix(refusal.text, "NOPERM ") {
		return true
	}
	return !isSignIn(refusal) && !errors.Is(judgeServer(refusal).err, relay.ErrUnavailable)
}

// maxValue asks how large a value may be. A server that does not tell has its default.
func maxValue(ctx context.Context, primary *redis.Client) int {
	const name, standard = "proto-max-bulk-len", 512 << 20
	limit, err := strconv.Atoi(primary.ConfigGet(ctx, name).Val()[name])
	if err != nil {
		return standard
	}
	return limit
}

// rehearse runs the script without an event: it fails where a Publish would, for lack of memory,
// replicas or permissions, or because the server takes no writes.
func (s *session) rehearse(ctx context.Context, primary *redis.Client) error {
	known := s.server.Load()
	script, keys := redis.NewScript(known.mode.text), s.keys(known.mode, "look")
	text, err := script.Run(ctx, primary, keys, s.limits(order{})...).Text()
	if err != nil {
		return err
	}
	answer, err := parseReply(text, 0)
	if err == nil && answer.failure != "" {
		err = newServerError(answer.failure)
	}
	return err
}

// keys returns the keys that the script uses, the stream first.
func (s *session) keys(m mode, purpose string) []string {
	keys := []string{s.cfg.Stream}
	for _, suffix := range m.keys {
		if suffix == gateKey {
			suffix += s.id + purpose
		}
		keys = append(keys, besides(s.cfg.Stream, suffix))
	}
	return keys
}

// order says what must be true before a part is added. The zero value asks for nothing.
type order struct {
	after, done   string // what the gate must hold, and what it holds afterwards
	mark, reached string // of the stream, see baseline
}

// limits returns the arguments of the script before those of the events.
func (s *session) limits(o order) []any {
	if o.reached == "" {
		o.reached = "0-0"
	}
	return []any{
		o.after, o.done, s.cfg.DedupWindow.Milliseconds(), rememberedIDs, s.cfg.MaxLen, s.cfg.MaxAge.Milliseconds(),
		rand.Text(), o.mark, o.reached,
	}
}

// announce logs the first connection.
func (s *session) announce(ctx context.Context, primary *redis.Client) {
	if s.announced {
		return
	}
	s.announced = true
	s.log.Info("Redis Stream connected successfully",
		zap.String("stream", s.cfg.Stream), zap.String("mode", s.server.Load().mode.name),
		zap.String("server", s.cfg.where()), zap.String("version", version(ctx, primary)))
	if s.cfg.MaxLen > 0 || s.cfg.MaxAge > 0 {
		s.log.Warn("the stream is trimmed: consumers that are behind lose events",
			zap.Int64("max_len", s.cfg.MaxLen), zap.Duration("max_age", s.cfg.MaxAge))
	}
}

// version returns the name and the version of the server, or "unknown" where the user may not ask for it.
func version(ctx context.Context, primary *redis.Client) string {
	info := primary.Info(ctx, "server").Val()
	for _, field := range []string{"valkey_version:", "redis_version:"} {
		if _, rest, found := strings.Cut(info, field); found {
			number, _, _ := strings.Cut(rest, "\r\n")
			return strings.TrimSuffix(field, "_version:") + " " + number
		}
	}
	return "unknown"
}

var errClosed = errors.New("the publisher is closed")

// closed is the error of a publisher after Close.
func closed() error { return fmt.Errorf("%w: %w", relay.ErrUnavailable, errClosed) }
