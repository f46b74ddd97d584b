package redisstream

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
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
	return hostName.MatchString(host) || isIP(host)
}

// hostName matches the names of servers. What else a name could have in it would be a part of a
// URL or of a password.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

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
	if err != nil || !validHost(host) {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// harmless matches what may be shown of an address that cannot be used: nothing in it can be a
// password.
var harmless = regexp.MustCompile(`^(?:(?:[a-z]{1,12}://)?[A-Za-z0-9_.-]*(?::[0-9]{0,5})?/?|` +
	`/[A-Za-z0-9_./-]*|\[[0-9A-Fa-f:.]+\](?::[0-9]{0,5})?)$`)

// shownAddress quotes an address that cannot be used. One that may hold a password is not shown.
func shownAddress(address string) string {
	list := strings.Split(address, ",")
	switch {
	case strings.Contains(address, "@"):
		return "an address with a user in it"
	case harmless.MatchString(address), isIP(address), len(list) > 1 && shownAddresses(list) == quote(address):
		return quote(address)
	}
	return "a text that is no address"
}

// shownAddresses quotes a list of addresses, unless one of them may be a part of a password with a
// comma.
func shownAddresses(addresses []string) string {
	for _, address := range addresses {
		if !validAddress(address) {
			return "a list with a text that is no address"
		}
	}
	return quote(strings.Join(addresses, ","))
}

func quote(text string) string { return strconv.Quote(text) }
