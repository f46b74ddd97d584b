package redisstream

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestPassword(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0", "--requirepass", "hunter2")
	cfg := configFor(t, s.URL)
	requireRefused(t, cfg, "misconfigured", "redis.password")
	cfg.Password = "hunter3"
	requireRefused(t, cfg, "misconfigured", "redis.password")
	cfg.Password = "hunter2"
	requireWorks(t, cfg)
	cfg.Username = "nobody"
	requireRefused(t, cfg, "misconfigured", "redis.username")
}

// A server without a password takes any.
func TestPasswordThatTheServerDoesNotAskFor(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	cfg.Password = "hunter2"
	requireWorks(t, cfg)
}

// The rights that doc.go lists are enough, and nothing else of the server is needed.
func TestRightsOfTheDocumentationAreEnough(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		c := admin(t, cfg)
		rule := strings.NewReplacer("<stream>", cfg.Stream, "<password>", "hunter2").Replace(documentedRights)
		args := []any{}
		for word := range strings.FieldsSeq(rule) {
			args = append(args, word)
		}
		if version == "8.0" { // which does not know the command
			args = args[:len(args)-1]
		}
		require.NoError(t, c.Do(t.Context(), args...).Err())
		cfg.Username, cfg.Password, cfg.MaxLen = "relay", "hunter2", 1000
		requireWorks(t, cfg)
		cfg.Stream += "-other"
		requireRefused(t, cfg, "misconfigured", "ACL SETUSER")
	})
}

func TestRightsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	for file, rights := range map[string]string{
		"doc.go": documentedRights, "../../docs/SECURITY.md": documentedRights + "\n" + consumerRights,
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(rights) {
			require.Contains(t, string(text), strings.TrimSpace(line), file)
		}
	}
}

// documentedRights is the command of doc.go.
const documentedRights = `ACL SETUSER relay on ><password> resetkeys ~<stream> ~{<stream>}:outbox:*
	+hello +ping +command +info +config|get +select +script|load +evalsha +eval +xadd +xtrim
	+xinfo|stream +xinfo|groups +xgroup|create +xpending +xrange
	+exists +get +set +hset +hmget +hlen +pttl +pexpire +rename +unlink +time +wait +waitaof +client|setname +xcfgset`
