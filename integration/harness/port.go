package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// FreeAddress returns an address of this machine on which no program listens, see freePort.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	require.NoError(tb, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// given are the ports that this process has handed out.
var given sync.Map

// freePort returns a port of the loopback address on which no program listens, and returns each once.
// It lies below the range from which systems take ports for outgoing connections, so that it is
// still free when a stopped server comes back to it.
func freePort() (int, error) {
	const low, high, tries = 20000, 32000, 100
	for range tries {
		port := low + rand.IntN(high-low)
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1 between %d and %d in %d tries", low, high, tries)
}

// portTaken tells whether Docker could not publish a port because somebody else took it in the meantime.
func portTaken(err error) bool {
	return strings.Contains(err.Error(), "port is already allocated") ||
		strings.Contains(err.Error(), "address already in use")
}
