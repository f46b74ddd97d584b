package config

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestRedactPostgres(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                                   "",
		"postgres://db/game":                 "postgres://db/game",
		"postgres://relay@db/game":           "postgres://relay@db/game",
		"postgres://relay:hunter2@db/game":   "postgres://relay:[hidden]@db/game",
		"postgresql://relay:hunter2@db/game": "postgresql://relay:[hidden]@db/game",
		"postgres://relay:@db/game":          "postgres://relay:@db/game",
		"postgres://relay:hun%20ter@a:1,b:2/game?sslmode=require": "postgres://relay:[hidden]@a:1,b:2/game?sslmode=require",
		"postgres://relay:hun?t#er2@db/game":                      "postgres://relay:[hidden]@db/game",
		"postgres://relay@db/game?password=hunter2&sslmode=off":   "postgres://relay@db/game?password=[hidden]&sslmode=off",
		"postgres://db/game?pass%77ord=hunter2":                   "postgres://db/game?pass%77ord=[hidden]",
		"postgres://db/game?sslpassword=hunter2":                  "postgres://db/game?sslpassword=[hidden]",
		"postgres://db/game?%zz=hunter2":                          "postgres://db/game?[hidden]",
		"host=db user=relay password=hunter2 dbname=game":         "host=db user=relay password=[hidden] dbname=game",
		"host=db PASSWORD = 'hun\\'ter 2' dbname=game":            "host=db PASSWORD=[hidden] dbname=game",
		"password=hun\\ ter2 host=db":                             "password=[hidden] host=db",
		"password= host=db":                                       "password=[hidden]",
		"host=/run/postgresql user=relay@eu statement_timeout=5s": "host=/run/postgresql user=relay@eu statement_timeout=5s",
		"postgres://relay:hunter2@/game?host=/run/postgresql":     "postgres://relay:[hidden]@/game?host=/run/postgresql",
		"postgres://relay@[::1]:5432/game?options=-c%20a%3Db":     "postgres://relay@[::1]:5432/game?options=-c%20a%3Db",
		// Where the password ends is a guess, so all of it is hidden.
		"postgres://relay:hun@ter2@db/game":     Hidden,
		"postgres://relay:hun/ter2@db/game":     Hidden,
		"postgres://relay:123/ter2@db/game":     Hidden,
		"postgres://relay:hunter2/game":         Hidden,
		"postgres://relay:hunter2@db:port/game": Hidden,
		"postgres://db/game?pasword=hunter2":    "postgres://db/game?[hidden]",
		"host= password=hunter2 user=relay":     Hidden,
		"host=db pw=hunter2 user=relay":         Hidden,
		"host=db\vpassword=hunter2 user=relay":  Hidden,
		"hunter2":                               Hidden,
		"https://relay:hunter2@db/game":         Hidden,
		"Postgres://relay:hunter2@db/game":      Hidden,
		"host=db password=hun'ter2 dbname=game": Hidden,
		"host=db password='hunter2":             Hidden,
		"host=db, hunter2":                      Hidden,
	} {
		require.Equal(t, want, RedactPostgres(dsn), "%q", dsn)
	}
}

func TestRedactNATS(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"":                                  "",
		"nats://localhost:4222":             "nats://localhost:4222",
		"localhost:4222":                    "localhost:4222",
		"nats://relay:hunter2@n1:4222":      "nats://relay:[hidden]@n1:4222",
		"nats://hunter2@n1:4222":            "nats://[hidden]@n1:4222",
		"hunter2@n1":                        "[hidden]@n1",
		"relay:hunter2@n1, tls://h2@n2:1":   "relay:[hidden]@n1, tls://[hidden]@n2:1",
		"nats://a:b@n1,nats://n2,n3":        "nats://a:[hidden]@n1,nats://n2,n3",
		"ws://n1/?token=hunter2&compress=1": "ws://n1/?token=[hidden]&[hidden]",
		"nats://relay:hun@ter2@n1":          Hidden,
		"nats://relay:hun/ter2@n1":          Hidden,
		"nats://relay:123,hunter2@n1":       Hidden,
		"nats://relay:hunter2,123@n1":       Hidden,
		"nats://a:b@n1,nats://n2,x:y@n3":    Hidden,
		"hunter2://x@n1":                    Hidden,
		"relay:hunter2://x@n1":              Hidden,
		"nats://relay:hunter2":              Hidden,
	} {
		require.Equal(t, want, RedactNATS(urls), "%q", urls)
	}
}

// FuzzRedactPostgres looks for a connection string from which pgx takes a password that our redaction shows.
func FuzzRedactPostgres(f *testing.F) {
	for _, dsn := range []string{
		"postgres://relay:hunter2hunter2@db:5432/game?sslmode=disable", "postgres://relay:p%40ss@db/game?password=hunter2hunter2",
		"host=db user=relay password='hunter2 hunter2' dbname=game", "password = hunter2\\ hunter2 host=db", "postgresql:///game",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		parsed, err := pgconn.ParseConfig(dsn)
		if err != nil || len(parsed.Password) < 6 || appearsElsewhere(parsed) {
			return
		}
		require.NotContains(t, RedactPostgres(dsn), parsed.Password)
		require.NotContains(t, RedactPostgres(dsn), url.QueryEscape(parsed.Password))
	})
}

// appearsElsewhere tells whether the password is also a part of something that may be shown.
func appearsElsewhere(c *pgconn.Config) bool {
	shown := c.Host + "\n" + c.User + "\n" + c.Database + "\n" + "postgresql://" + Hidden
	for name, text := range c.RuntimeParams {
		shown += "\n" + name + "\n" + text
	}
	return strings.Contains(shown, c.Password)
}

// FuzzRedactNATS checks that of a URL that was built properly nothing is hidden but the password or the token, and all of it.
func FuzzRedactNATS(f *testing.F) {
	f.Add("relay", "hunter2hunter2")
	f.Add("", "p@s/s:w?o r#d")
	f.Fuzz(func(t *testing.T, user, secret string) {
		if secret == "" || strings.Contains(user+secret, ",") { // nats.go cuts the list at a comma before it reads a URL
			return
		}
		server := func(userinfo *url.Userinfo) string {
			return RedactNATS((&url.URL{Scheme: "nats", Host: "server-1:4222", User: userinfo}).String())
		}
		require.Equal(t, "nats://"+url.User(user).String()+":"+Hidden+"@server-1:4222", server(url.UserPassword(user, secret)))
		require.Equal(t, "nats://"+Hidden+"@server-1:4222", server(url.User(secret)))
	})
}
