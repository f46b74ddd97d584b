package relay

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitSilence sets TCP_USER_TIMEOUT, see tcp(7): keep-alive probes are not sent while bytes wait to be acknowledged, and without a
// limit the system tries for a quarter of an hour. A socket that is not of TCP has no such option and needs none.
func limitSilence(_, _ string, socket syscall.RawConn) error {
	return socket.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silenceLimit.Milliseconds()))
	})
}
