package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/relay"
)

// target is what the publisher needs to know of the stream.
type target struct {
	stream   string
	domain   string // the JetStream domain, as the server names it; empty for none
	subjects patterns
	maxEvent int  // bytes of an event with its headers; 0 means no limit of the stream's own
	fast     bool // events go by fast ingest
	cli      cli

	state   relay.StreamState // when the stream was looked at
	checked bool              // the state was compared with what the relay knows; only Publish uses it
}

func (s *session) newTarget(info *jsapi.StreamInfo, fast bool) *target {
	cfg := info.Config
	return &target{
		cli:      s.cfg.cli(),
		stream:   cfg.Name,
		domain:   info.Domain,
		subjects: cfg.Subjects,
		maxEvent: max(0, int(cfg.MaxMsgSize)), // servers say -1 for no limit
		fast:     fast,
		state:    s.stateOf(info),
	}
}

// renew goes on with a stream that was looked at once more, if it is still the one that it was.
func (l *link) renew(info *jsapi.StreamInfo) error {
	l.invalidate()
	before := l.target.state
	l.target = l.newTarget(info, l.target.fast)
	if !l.target.state.Continues(before) {
		return fmt.Errorf("%w: stream %q was replaced or has lost its end a moment ago",
			relay.ErrUnavailable, info.Config.Name)
	}
	return nil
}

// stored returns how the answer begins that the stream gives to a stored event, up to the sequence.
func (t *target) stored() string {
	if t.domain == "" {
		return `{"stream":` + quote(t.stream) + `,"seq":`
	}
	return `{"stream":` + quote(t.stream) + `,"domain":` + quote(t.domain) + `,"seq":`
}

// mode names the way in which events are sent, for the log.
func (t *target) mode() string {
	if t.fast {
		return "fast ingest"
	}
	return "keyed async"
}

// knowsFastIngest tells whether a server of this version knows fast ingest, which came with 2.14.
// Of an unknown version it is not assumed.
func knowsFastIngest(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > 2 || major == 2 && minor >= 14)
}
