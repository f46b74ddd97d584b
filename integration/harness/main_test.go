package harness_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis complains of every server that the tests break
	harness.Main(m)
}

// breakage is one way to lose a server and to get it back.
type breakage struct {
	name       string
	begin, end func()
}

func breakages(s *harness.Server) []breakage {
	return []breakage{
		{"stop", s.Stop, s.Start},
		{"kill", s.Kill, s.Start},
		{"pause", s.Pause, s.Unpause},
		{"disconnect", s.Disconnect, s.Reconnect},
	}
}

// dialTimeout is how long a test waits for a server that it has broken.
const dialTimeout = time.Second

// eventually asks until the answer is nil.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, ask()) }, 30*time.Second, 100*time.Millisecond)
}
