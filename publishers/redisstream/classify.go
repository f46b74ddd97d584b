package redisstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gameoutbox/relay/relay"
)

// serverError is the refusal of a server, in its own words. They begin with a code such as OOM, or with ERR.
type serverError struct{ text string }

func (e *serverError) Error() string { return fmt.Sprintf("the server answered %q", e.text) }

// newServerError takes the words of an error. Redis 6 puts a - before those of a command that a script called.
//
// What a server repeats of a command that it does not know is left out: it may be a password, where
// AUTH was renamed.
func newServerError(text string) *serverError {
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "-"), ", with args beginning with")
	return &serverError{text}
}

// without hides a password that a server repeats.
func (e *serverError) without(passwords ...string) *serverError {
	for _, password := range passwords {
		if len(password) > 3 { // a shorter one would be cut out of ordinary words
			e.text = strings.ReplaceAll(e.text, password, "[hidden]")
		}
	}
	return e
}

// verdict is what an error means for the relay.
type verdict struct {
	err   error
	whole bool // it speaks of the whole broker, not of one event
}

// class makes a verdict of a server's refusal.
type class func(*serverError) verdict

// classes says what a server's words mean that begin so. The first that fits counts. Words that are missing here are unknown:
// the event is tried again and spends an attempt.
var classes = []struct {
	begins string
	class  class
}{
	{"OOM ", throttled},   // used memory > maxmemory
	{"REWOUND ", rewound}, // the script's own word
	{"GATE ", failing},    // as well: the server has lost the gate, by a failover or for lack of memory

	{"LOADING ", unavailable},     // the server starts and reads its data
	{"BUSY ", unavailable},        // another client's script runs for too long
	{"MASTERDOWN ", unavailable},  // a replica without its primary
	{"READONLY ", unavailable},    // a replica: a failover is under way, or the address is that of a replica
	{"NOREPLICAS ", unavailable},  // fewer replicas than min-replicas-to-write
	{"CLUSTERDOWN ", unavailable}, // a slot has no node
	{"TRYAGAIN ", unavailable},    // a slot is on its way to another node
	{"UNBLOCKED ", unavailable},   // a failover while a command waited
	{"MISCONF ", unavailableUntil("free or repair the disk of the server; its log says more")},
	{"ERR max number of clients reached", unavailableUntil("raise maxclients of the server, or close other connections")},

	{"MOVED ", misconfigured("the server is a Redis Cluster: set redis.cluster to true")},
	{"ASK ", misconfigured("the server is a Redis Cluster: set redis.cluster to true")},
	{"ERR This instance has cluster support disabled", misconfigured("the server is no Redis Cluster: set redis.cluster to false")},
	{"ERR SELECT is not allowed in cluster mode", misconfigured("a Cluster has one database: set redis.db to 0")},
	{"ERR DB index is out of range", misconfigured("set redis.db to a database that the server has")},
	{"NOAUTH ", misconfigured("set redis.password, and redis.username for an ACL user")},
	{"WRONGPASS ", misconfigured("check redis.username and redis.password")},
	{"ERR AUTH ", misconfigured("the server has no password: remove redis.password")},
	{"NOPERM ", misconfigured(grantStep)},
	{"ERR ACL failure in script", misconfigured(grantStep)},
	{"ERR The user executing the script", misconfigured(grantStep)},
	{"DENIED ", misconfigured("the server is in protected mode: give it a password, and set redis.password")},
	{"WRONGTYPE ", misconfigured("a key of the stream holds something else: set redis.stream to another key")},
	{"ERR The stream has exhausted", misconfigured("the stream holds an entry with the largest id there is: set redis.stream to another key")},
	{"ERR unknown command", misconfigured("the server must know EVALSHA, XADD and XTRIM (Redis 6.2 or newer), and WAITAOF (7.2) for redis.wait_aof")},
	{"ERR WAITAOF cannot be used", misconfigured("set appendonly yes on the server, or redis.wait_aof to false")},
	{"ERR Protocol error: invalid bulk length", misconfigured("raise proto-max-bulk-len of the server above the size of the events")},
}

const grantStep = "grant the user what the documentation of publishers/redisstream lists under Permissions, with ACL SETUSER"

func throttled(e *serverError) verdict {
	return verdict{err: &relay.ThrottledError{Err: e}, whole: true}
}

func rewound(e *serverError) verdict {
	return verdict{err: fmt.Errorf("%w: %w", relay.ErrRewound, e), whole: true}
}

func failing(e *serverError) verdict { return verdict{err: e, whole: true} }

func unavailable(e *serverError) verdict {
	return verdict{err: fmt.Errorf("%w: %w", relay.ErrUnavailable, e), whole: true}
}

func unavailableUntil(step string) class {
	return func(e *serverError) verdict {
		return verdict{err: fmt.Errorf("%w: %w; %s", relay.ErrUnavailable, e, step), whole: true}
	}
}

func misconfigured(step string) class {
	return func(e *serverError) verdict {
		return verdict{err: fmt.Errorf("%w: %w; %s", relay.ErrMisconfigured, e, step), whole: true}
	}
}

// judgeServer says what a server's refusal means.
func judgeServer(e *serverError) verdict {
	for _, known := range classes {
		if strings.HasPrefix(e.text, known.begins) {
			return known.class(e)
		}
	}
	return verdict{err: e}
}

// isMoved tells whether the stream is elsewhere now: on another node, or on another server after a failover.
func isMoved(e *serverError) bool {
	for _, code := range []string{"MOVED ", "ASK ", "READONLY ", "CLUSTERDOWN ", "MASTERDOWN "} {
		if strings.HasPrefix(e.text, code) {
			return true
		}
	}
	return false
}

// errSilent says that events were sent, the connection lives, and the answer did not come. They may be stored or not.
var errSilent = errors.New("no answer within redis.publish_timeout")

// judge says what an error means that came of talking to a server. It is never about one event, unless the server says so.
func (c Config) judge(err error) verdict {
	var failed *dialError
	var refusal *serverError
	var answer redis.Error
	switch {
	case errors.Is(err, relay.ErrUnavailable), errors.Is(err, relay.ErrMisconfigured):
		return verdict{err: err, whole: true}
	case errors.As(err, &refusal):
		return judgeServer(refusal)
	case errors.Is(err, redis.Nil): // none of our commands has no answer, but the question for the primary may
		return verdict{whole: true, err: fmt.Errorf("%w: the Sentinels %s know no primary %q; set redis.sentinel.master_name to a name that "+
			"SENTINEL MASTERS lists", relay.ErrMisconfigured, strings.Join(c.addresses(), ","), c.Sentinel.MasterName)}
	case errors.As(err, &answer) && isOfSentinels(err):
		return c.judgeSentinels(newServerError(answer.Error()).without(c.Password, c.Sentinel.Password))
	case errors.As(err, &answer):
		return judgeServer(newServerError(answer.Error()).without(c.Password, c.Sentinel.Password))
	case isEncryption(err):
		next := "check the certificates of redis.tls"
		if errors.As(err, new(tls.RecordHeaderError)) {
			next = "the server does not speak TLS: set redis.tls.enabled to false, or redis.port to its port for TLS"
		}
		return verdict{whole: true, err: fmt.Errorf("%w: no encrypted connection to Redis at %s: %w; %s",
			relay.ErrMisconfigured, c.where(), err, next)}
	case errors.Is(err, errEncrypted):
		return verdict{whole: true, err: fmt.Errorf("%w: Redis at %s: %w", relay.ErrMisconfigured, c.where(), errEncrypted)}
	case errors.As(err, new(*answerError)):
		return verdict{whole: true, err: fmt.Errorf("%w: Redis at %s: %w; is %s right?",
			relay.ErrUnavailable, c.where(), err, c.key())}
	case errors.As(err, &failed):
		return verdict{err: c.unreachable(failed.cause), whole: true}
	case errors.Is(err, context.Canceled), errors.Is(err, errReply):
		return verdict{err: err, whole: true}
	case isSilence(err):
		return verdict{err: errSilent, whole: true}
	}
	return verdict{err: c.unreachable(err), whole: true}
}

// isOfSentinels tells whether the Sentinels were asked in vain for the primary. The client library has no exported error for that.
func isOfSentinels(err error) bool {
	return strings.Contains(err.Error(), "all sentinels specified in configuration")
}

// isSignIn tells whether a server refused the credentials.
func isSignIn(e *serverError) bool {
	return slices.ContainsFunc([]string{"NOAUTH ", "WRONGPASS ", "NOPERM ", "ERR AUTH "}, func(code string) bool { return strings.HasPrefix(e.text, code) })
}

// judgeSentinels says what the refusal of a Sentinel means.
func (c Config) judgeSentinels(e *serverError) verdict {
	if !isSignIn(e) {
		return judgeServer(e)
	}
	return verdict{whole: true, err: fmt.Errorf("%w: of the Sentinels %s, %w; check redis.sentinel.username and redis.sentinel.password",
		relay.ErrMisconfigured, strings.Join(c.addresses(), ","), e)}
}

// unreachable says that there is no server to talk to.
func (c Config) unreachable(err error) error {
	return fmt.Errorf("%w: no Redis server answers at %s: %w; is the server up, and is %s right?",
		relay.ErrUnavailable, c.where(), err, c.key())
}

// isSilence tells whether an answer did not come in time.
func isSilence(err error) bool {
	var failed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failed) && failed.Timeout()
}
