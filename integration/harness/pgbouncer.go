package harness

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// PgBouncer is a connection pooler of one test, in transaction mode, in front of every database of a Postgres.
type PgBouncer struct{ *Server }

// StartPgBouncer starts a PgBouncer in front of a server of the test's own.
func StartPgBouncer(tb testing.TB, upstream *PostgresServer) *PgBouncer {
	tb.Helper()
	server, err := pgbouncerRecipe(upstream.address()).start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return &PgBouncer{server.own(tb)}
}

// DatabaseURL returns where a database is reached through the pooler.
func (p *PgBouncer) DatabaseURL(db *Database) string {
	return databaseAt(p.tb, p.URL, db)
}

// DatabaseURL returns where a database is reached on this server, a copy of the one that it was made on.
func (p *PostgresServer) DatabaseURL(db *Database) string {
	p.tb.Helper()
	return databaseAt(p.tb, p.URL, db)
}

func databaseAt(tb testing.TB, server string, db *Database) string {
	tb.Helper()
	direct, err := url.Parse(db.URL)
	if err != nil {
		tb.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = direct.Path
	return u.String()
}

// Lead lets the pooler lead to another server from now on. Its clients stay connected and notice nothing.
func (p *PgBouncer) Lead(upstream *PostgresServer) {
	p.tb.Helper()
	p.Exec("sh", "-c", fmt.Sprintf(`printf '[databases]\n* = %s\n' >/run/pgbouncer/server.ini`, upstream.address()))
	p.do("reload", func(ctx context.Context) error {
		_, err := p.docker.ContainerKill(ctx, p.id, client.ContainerKillOptions{Signal: "HUP"})
		return err
	})
}

// address is where other containers reach the server.
func (p *PostgresServer) address() (address string) {
	p.tb.Helper()
	p.do("inspect", func(ctx context.Context) error {
		inspected, err := p.docker.ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		for _, endpoint := range inspected.Container.NetworkSettings.Networks {
			address = fmt.Sprintf("host=%s port=5432", endpoint.IPAddress)
		}
		return nil
	})
	return address
}

func pgbouncerRecipe(server string) recipe {
	return recipe{
		name: "pgbouncer",
		port: "6432/tcp",
		url:  func(port int) string { return postgresURL(port, "postgres") },
		ping: pingPostgres,
		request: func(int) testcontainers.ContainerRequest {
			return testcontainers.ContainerRequest{Env: map[string]string{
				"PGBOUNCER_SERVER": server, "PGBOUNCER_USER": postgresUser, "PGBOUNCER_PASSWORD": postgresPassword,
			}}
		},
	}
}
