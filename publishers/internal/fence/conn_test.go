package fence_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/publishers/internal/fence"
)

// TestConn writes on the one end of a connection and reads on the other.
func TestConn(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	received := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(far) // ends with the connection
		received <- string(all)
	}()
	conn := &fence.Conn{Conn: near}
	write := func(text string) error {
		_, err := conn.Write([]byte(text))
		return err
	}
	require.NoError(t, write("before,"))

	ctx, end := context.WithCancel(t.Context())
	conn.Begin(ctx)
	require.NoError(t, write("during,"))
	end()
	require.True(t, conn.Shut())
	conn.End() // everything of it was sent
	require.False(t, conn.Shut())
	require.NoError(t, write("between,"))

	conn.Begin(ctx)
	require.Error(t, write("late,"))
	conn.End()
	require.Error(t, write("after"), "the connection is closed, for what was refused is missing in it")
	require.Equal(t, "before,during,between,", <-received)
	require.NoError(t, far.Close())
}

// TestConnStopsInTheMiddleOfAWrite fills a connection that nobody reads, and lets the lead end while a write waits.
func TestConnStopsInTheMiddleOfAWrite(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	near, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	far, err := listener.Accept()
	require.NoError(t, err)
	conn := &fence.Conn{Conn: near}
	ctx, end := context.WithCancel(t.Context())
	conn.Begin(ctx)
	const much = 64 << 20 // more than the system buffers
	result := make(chan int, 1)
	go func() {
		n, _ := conn.Write(make([]byte, much))
		result <- n
	}()
	first := make([]byte, 1)
	_, err = io.ReadFull(far, first)
	require.NoError(t, err)
	end()
	received, err := io.Copy(io.Discard, far) // ends with the connection
	require.NoError(t, err)
	sent := <-result
	require.Less(t, sent, much)
	require.EqualValues(t, sent, received+1, "nothing follows what was sent")
	require.NoError(t, far.Close())
}
