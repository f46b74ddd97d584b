//go:build !unix

package fence

func (c *Conn) write(b []byte) (int, error) { return c.Conn.Write(b) }
