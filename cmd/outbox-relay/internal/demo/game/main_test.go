package game

import (
	"testing"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// database returns the URL of a migrated database of the test's own.
func database(t *testing.T) string {
	t.Helper()
	return harness.Postgres(t).URL
}
