package config

import (
	"net"
	"strconv"

	"github.com/gameoutbox/relay/relay"
)

// Admin holds the settings of the HTTP server for operators, the section "admin". Start from [DefaultAdmin].
type Admin struct {
	// Listen is the address that the server listens on, host:port. The server asks for no password, so it listens on the
	// loopback interface unless told otherwise. Port 0 takes any free port. Empty means no server.
	Listen string `yaml:"listen"`
}

// DefaultAdmin returns the settings that hold when nobody sets any.
func DefaultAdmin() Admin { return Admin{Listen: "127.0.0.1:9470"} }

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError].
func (a Admin) Validate() error {
	var v relay.Fields
	v.Check(a.Listen == "" || isHostPort(a.Listen), "listen", quote(a.Listen), `host:port such as 127.0.0.1:9470, or "" for no server`)
	return v.Err()
}

// isHostPort tells whether address is host:port with a port from 0 to 65535.
func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
