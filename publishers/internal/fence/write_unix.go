//go:build unix

package fence

import (
	"net"
	"os"
	"syscall"
)

// write writes b part by part, as the kernel takes it, and asks before each part. A connection's own Write would go on with the rest
// of a part after a pause of the process, however long that was.
func (c *Conn) write(b []byte) (written int, err error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return c.Conn.Write(b)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failure error
	err = raw.Write(func(fd uintptr) (done bool) {
		for written < len(b) {
			if c.Shut() {
				failure = errShut
				return true
			}
			n, err := syscall.Write(int(fd), b[written:])
			switch err {
			case nil:
				written += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				failure = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("write", err)}
				return true
			}
		}
		return true
	})
	if failure != nil {
		err = failure
	}
	return written, err
}
