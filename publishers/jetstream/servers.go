package jetstream

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// parseServers reads a list of URLs separated by commas. problem says what is wrong with it; it never shows the text itself,
// which may hold a password.
func parseServers(list string) (servers []*url.URL, problem string) {
	for i, text := range strings.Split(list, ",") {
		text = strings.TrimSpace(text)
		if i > 0 && strings.Contains(text, "@") && !strings.Contains(text, "://") {
			return nil, fmt.Sprintf("number %d has a user and no scheme (write a comma of a password as %%2C)", i+1)
		}
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		server, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Sprintf("number %d is no URL (a password needs its special characters percent-encoded)", i+1)
		}
		if problem = serverProblem(server); problem != "" {
			return nil, fmt.Sprintf("number %d has %s", i+1, problem)
		}
		servers = append(servers, server)
	}
	return servers, ""
}

func serverProblem(server *url.URL) string {
	switch server.Scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return "a scheme that is not nats, tls, ws or wss"
	}
	if server.Hostname() == "" {
		return "no host"
	}
	if port := server.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "a port that is not 1 to 65535"
		}
	}
	return ""
}

// hosts returns the hosts and ports of the list, without any secret, for logs and errors.
func hosts(servers []*url.URL) string {
	names := make([]string, len(servers))
	for i, server := range servers {
		names[i] = host(server)
	}
	return strings.Join(names, ",")
}

func host(server *url.URL) string {
	if server.Port() != "" || strings.HasPrefix(server.Scheme, "ws") {
		return server.Host
	}
	return net.JoinHostPort(server.Hostname(), "4222")
}
