package redisstream

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// addresses returns where to connect first: Cluster nodes, Sentinels, or the one server.
func (c Config) addresses() []string {
	if len(c.Addresses) > 0 {
		return c.Addresses
	}
	return []string{net.JoinHostPort(c.Host, strconv.Itoa(c.Port))}
}

// where names the servers in logs and errors. Addresses hold no secrets.
func (c Config) where() string {
	list := strings.Join(c.addresses(), ",")
	switch {
	case c.Cluster:
		return "the Cluster of " + list
	case c.Sentinel.MasterName != "":
		return "the primary " + quote(c.Sentinel.MasterName) + " of the Sentinels " + list
	}
	return list
}

// key names the setting that says where the server is.
func (c Config) key() string {
	if len(c.Addresses) > 0 {
		return "redis.addresses"
	}
	return "redis.host"
}

// validHost tells whether host is a name, or an IP address without brackets.
func validHost(host string) bool {
	return !strings.ContainsAny(host, ":/@,[] \t\r\n") || isIP(host)
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// hostHint says what to write instead of a host that cannot be used; empty if that is not certain.
func (c Config) hostHint() string {
	if strings.Contains(c.Host, ",") {
		return "; several go to redis.addresses"
	}
	address := c.Host
	if u, err := url.Parse(address); err == nil && u.Host != "" && u.Path == "" && u.User == nil { // a URL
		address = u.Host
	}
	if validAddress(address) {
		host, port, _ := net.SplitHostPort(address)
		return "; write host: " + quoteAddress(host) + " and port: " + port
	}
	if address = strings.Trim(address, "[]"); isIP(address) {
		return "; write " + quoteAddress(address)
	}
	return ""
}

// quoteAddress writes a host as YAML needs it.
func quoteAddress(host string) string {
	if strings.Contains(host, ":") {
		return quote(host)
	}
	return host
}

func validAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsAny(address, " \t\r\n@/") {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// shownAddress quotes an address that cannot be used. One that looks like a URL with a password is not shown.
func shownAddress(address string) string {
	if strings.Contains(address, "@") {
		return "an address with a user in it"
	}
	return quote(address)
}

func quote(text string) string { return strconv.Quote(text) }
