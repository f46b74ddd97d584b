package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gameoutbox/relay/relay"
)

// Postgres holds the settings of the database connection, the section "postgres". Start from [DefaultPostgres].
type Postgres struct {
	// URL is the connection string, as a URL or in the keyword/value form of libpq. It may hold a password. Empty means not
	// set: every command that needs the database then refuses to start.
	URL string `yaml:"url"`
	// MaxConns is the most connections that the relay opens, [relay.MinConns] to 1000.
	MaxConns int32 `yaml:"max_conns"`
}

// DefaultPostgres returns the settings that hold when nobody sets any. There is no default URL.
func DefaultPostgres() Postgres { return Postgres{MaxConns: 4} }

// allowedURL says what postgres.url may be.
const allowedURL = "postgres://user:password@host:5432/database or host=... user=... password=... dbname=...; " +
	"in a URL, percent-encode the characters : / ? # @ % of a password"

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError], without the password.
func (p Postgres) Validate() error {
	var v relay.Fields
	cause, ok := p.parse()
	v.Check(ok, "url", quote(RedactPostgres(p.URL)), allowedURL+cause)
	v.Check(p.MaxConns >= relay.MinConns && p.MaxConns <= 1000, "max_conns", p.MaxConns, fmt.Sprintf("%d to 1000", relay.MinConns))
	return v.Err()
}

// parse tells whether the driver understands the URL, and if not, why. pgx hides passwords as well
// as it can, but only where our own redaction is certain of what it hides is the driver's word
// passed on. A host, a user or a database in which a part of the password may be is refused as
// well, for the driver's errors name them.
func (p Postgres) parse() (cause string, ok bool) {
	if p.URL == "" {
		return "", true
	}
	pool, err := pgxpool.ParseConfig(p.URL) // which knows the options of a pool too
	if err == nil {
		return misread(pool.ConnConfig.Host, pool.ConnConfig.User, pool.ConnConfig.Database)
	}
	if RedactPostgres(p.URL) != Hidden {
		_, cause, _ = strings.Cut(err.Error(), "`: ")
		return " (" + quotedText.ReplaceAllString(cause, `"..."`) + ")", false
	}
	if strings.Contains(err.Error(), "invalid port") {
		return " (invalid port)", false
	}
	return "", false
}

// MayBePlain returns a host to which connections may be unencrypted although no setting says so:
// sslmode is not set, and the host is neither this machine nor a folder with a socket. It is empty
// where that is not so. Without sslmode the driver does what libpq does: it uses TLS if the server
// offers it, does not look at the certificate, and else goes on without.
func (p Postgres) MayBePlain() (host string) {
	pool, err := pgxpool.ParseConfig(p.URL)
	if err != nil || saysSSLMode.MatchString(p.URL) {
		return ""
	}
	conn := pool.ConnConfig
	places := []pgconn.FallbackConfig{{Host: conn.Host, TLSConfig: conn.TLSConfig}}
	for _, fallback := range conn.Fallbacks {
		places = append(places, *fallback)
	}
	for _, place := range places {
		if place.TLSConfig == nil && !isHere(place.Host) {
			return place.Host
		}
	}
	return ""
}

// saysSSLMode matches a connection string that sets sslmode.
var saysSSLMode = regexp.MustCompile(`(?i)\bsslmode\s*=`)

// isHere tells whether a host of a connection string is this machine.
func isHere(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") ||
		err == nil && address.IsLoopback()
}

// quotedText matches what the driver quotes of a URL.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// misread tells whether these are what they are taken for.
func misread(host, user, database string) (cause string, ok bool) {
	for _, part := range []struct{ name, text, never string }{
		{"host", host, "=@"}, {"user", user, "="}, {"database", database, "=@"},
	} {
		if strings.ContainsAny(part.text, part.never) {
			return " (the " + part.name + " has = or @ in it: is a value missing, or a quote, " +
				"or is a password not encoded?)", false
		}
	}
	return "", true
}
