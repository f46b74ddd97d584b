package harness

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// PgBouncer is a connection pooler of one test, in transaction mode, in front of one database. Its URL leads to that.
type PgBouncer struct {
	*Server
	database string
}

// StartPgBouncer starts a PgBouncer in front of a database of a server.
func StartPgBouncer(tb testing.TB, upstream *PostgresServer, db *Database) *PgBouncer {
	tb.Helper()
	u, err := url.Parse(db.URL)
	if err != nil {
		tb.Fatal(err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	networkName, address := upstream.address()
	server, err := pgbouncerRecipe(networkName, database, address).start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return &PgBouncer{Server: server.own(tb), database: database}
}

// Lead lets the pooler lead to the database of the same name on another server from now on. Its clients stay connected and notice
// nothing.
func (p *PgBouncer) Lead(upstream *PostgresServer) {
	p.tb.Helper()
	_, address := upstream.address()
	p.Exec("sh", "-c", fmt.Sprintf(`printf '[databases]\n%s = %s\n' >/run/pgbouncer/databases.ini`, p.database, address))
	p.do("reload", func(ctx context.Context) error {
		_, err := p.docker.ContainerKill(ctx, p.id, client.ContainerKillOptions{Signal: "HUP"})
		return err
	})
}

// address is where other containers reach the server, and in which network.
func (p *PostgresServer) address() (networkName, address string) {
	p.tb.Helper()
	p.do("inspect", func(ctx context.Context) error {
		inspected, err := p.docker.ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		for name, endpoint := range inspected.Container.NetworkSettings.Networks {
			networkName, address = name, fmt.Sprintf("host=%s port=5432", endpoint.IPAddress)
		}
		return nil
	})
	return networkName, address
}

func pgbouncerRecipe(networkName, database, address string) recipe {
	return recipe{
		name: "pgbouncer",
		port: "6432/tcp",
		url:  func(port int) string { return postgresURL(port, database) },
		ping: pingPostgres,
		request: func(int) testcontainers.ContainerRequest {
			return testcontainers.ContainerRequest{
				Networks: []string{networkName},
				Env: map[string]string{
					"PGBOUNCER_DATABASE": database + " = " + address,
					"PGBOUNCER_USER":     postgresUser, "PGBOUNCER_PASSWORD": postgresPassword,
				},
			}
		},
	}
}
