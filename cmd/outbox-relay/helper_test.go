package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// call is one command line with what it sees around it.
type call struct {
	env   []string
	stdin string
	args  []string
}

// run executes the command line in this process.
func (c call) run(t *testing.T) result {
	t.Helper()
	return c.runUntil(t.Context())
}

func (c call) runUntil(ctx context.Context) result {
	var out, err bytes.Buffer
	root := newRootCommand(c.env)
	root.SetIn(strings.NewReader(c.stdin))
	root.SetOut(&out)
	root.SetErr(&err)
	root.SetArgs(c.args)
	return result{code: execute(ctx, root), out: out.String(), err: err.String()}
}

// cli runs a command line without an environment.
func cli(t *testing.T, args ...string) result {
	t.Helper()
	return call{args: args}.run(t)
}

// settingsWith loads settings from an environment.
func settingsWith(t *testing.T, env ...string) *config.Settings {
	t.Helper()
	settings, err := config.Load(config.Source{Environ: env})
	require.NoError(t, err)
	return settings
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func quietLog() *zap.Logger { return zap.NewNop() }
