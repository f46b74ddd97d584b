package demo

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// options are those of a short demo on the Postgres that the tests share.
func options(t *testing.T, out io.Writer) Options {
	t.Helper()
	o := DefaultOptions()
	o.Out, o.Getenv, o.PostgresURL = out, os.Getenv, harness.EmptyPostgres(t).URL
	return o
}

// ready returns a demo that is set up and has not begun to play.
func ready(t *testing.T) *demo {
	t.Helper()
	d := newDemo(options(t, io.Discard))
	d.patience = 3 * d.screen.display.Interval()
	t.Cleanup(func() { assert.NoError(t, d.clean.run()) })
	require.NoError(t, d.setUp(t.Context()))
	return d
}
