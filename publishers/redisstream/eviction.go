package redisstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// warning is what an operator should know of the server although it stores events.
type warning struct {
	what string // short and constant, for the log
	why  string
	next string
}

func (w warning) String() string { return w.what + ": " + w.why + "; " + w.next }

// warnings are those that hold now.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// replace notes what holds now, and logs what is new.
func (w *warnings) replace(log *zap.Logger, found []warning) {
	w.mu.Lock()
	before := w.texts
	w.texts = make([]string, len(found))
	for i, each := range found {
		w.texts[i] = each.String()
	}
	now := w.texts
	w.mu.Unlock()
	for i, each := range found {
		if !slices.Contains(before, now[i]) {
			log.Warn(each.what, zap.String("reason", each.why), zap.String("next", each.next))
		}
	}
}

// all returns the warnings, a sentence each.
func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

// oddities looks for what would take the stream away, or the ids beside it. A server that does not tell is no reason not to publish.
func (s *session) oddities(ctx context.Context, primary *redis.Client) []warning {
	var found []warning
	if left, err := primary.PTTL(ctx, s.cfg.Stream).Result(); err == nil && left > 0 {
		found = append(found, warning{
			what: "the stream expires", why: fmt.Sprintf("the key %s has a time to live, and Redis loses its events at the end of it", s.cfg.Stream),
			next: "run: PERSIST " + s.cfg.Stream,
		})
	}
	policy, known := evictionPolicy(ctx, primary)
	if !known {
		s.log.Debug("maxmemory-policy is unknown", zap.String("reason", "the server answers neither INFO nor CONFIG GET"))
	}
	return append(found, s.evictions(policy)...)
}

// evictions says what a server with a policy may evict of ours. It is empty for a server that evicts nothing.
func (s *session) evictions(policy string) []warning {
	const next = "set maxmemory-policy to noeviction: then a full server refuses events, which wait in Postgres"
	switch {
	case strings.HasPrefix(policy, "allkeys-"):
		return []warning{{
			what: "Redis may evict the stream", why: fmt.Sprintf("maxmemory-policy is %s, which takes %s away with all its events",
				policy, s.cfg.Stream), next: next,
		}}
	case strings.HasPrefix(policy, "volatile-") && s.server.Load().mode.name == hashMode.name:
		return []warning{{
			what: "Redis may evict the ids of events", why: fmt.Sprintf("maxmemory-policy is %s, which takes them away beside %s, and events that "+
				"are sent again are stored twice", policy, s.cfg.Stream), next: next,
		}}
	}
	return nil
}

// evictionPolicy returns maxmemory-policy, empty for a server without maxmemory, which evicts nothing. It is unknown where the user may
// ask for neither of the two things that tell it, as at some hosters.
func evictionPolicy(ctx context.Context, primary *redis.Client) (policy string, known bool) {
	told := map[string]string{}
	for line := range strings.Lines(primary.Info(ctx, "memory").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		told[strings.ReplaceAll(name, "_", "-")] = value
	}
	if told["maxmemory-policy"] == "" {
		told = primary.ConfigGet(ctx, "maxmemory*").Val()
	}
	if told["maxmemory"] == "0" {
		return "", true
	}
	return told["maxmemory-policy"], told["maxmemory-policy"] != ""
}
