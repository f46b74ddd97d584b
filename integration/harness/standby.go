package harness

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"
)

// PostgresPair is a primary and its asynchronous standby, of one test. Cut the standby off, write to the primary, kill it
// and promote: then the standby has lost what was written last.
type PostgresPair struct {
	Primary, Standby *PostgresServer
	tb               testing.TB
}

// StartPostgresPair starts both and waits until the standby follows.
func StartPostgresPair(tb testing.TB) *PostgresPair {
	tb.Helper()
	pair := &PostgresPair{tb: tb}
	networkName := startNetwork(tb)
	pair.Primary = pair.start(primaryRecipe(networkName))
	// The image lets clients in, but no standby.
	pair.exec(pair.Primary, `copy (select 'host replication all all scram-sha-256') to program 'cat >> "$PGDATA/pg_hba.conf"'`)
	pair.exec(pair.Primary, "select pg_reload_conf()")
	pair.Standby = pair.start(standbyRecipe(networkName))
	return pair
}

func (p *PostgresPair) start(r recipe) *PostgresServer {
	p.tb.Helper()
	server, err := r.start(p.tb.Context())
	if err != nil {
		p.tb.Fatal(err)
	}
	server.own(p.tb)
	started := &PostgresServer{Server: server}
	started.migrated = started.createTemplate
	return started
}

func (p *PostgresPair) exec(server *PostgresServer, statement string) {
	p.tb.Helper()
	if err := server.exec(p.tb.Context(), statement); err != nil {
		p.tb.Fatalf("%s: %v", statement, err)
	}
}

// URL returns a connection string for a database of both servers, as pgx takes it: it leads to the one that can be written to.
func (p *PostgresPair) URL(db *Database) string {
	p.tb.Helper()
	u, err := url.Parse(db.URL)
	if err != nil {
		p.tb.Fatal(err)
	}
	second, err := url.Parse(p.Standby.URL)
	if err != nil {
		p.tb.Fatal(err)
	}
	u.Host += "," + second.Host
	u.RawQuery += "&target_session_attrs=read-write"
	return u.String()
}

// OnStandby returns the URL of the standby's copy of a database.
func (p *PostgresPair) OnStandby(db *Database) string {
	p.tb.Helper()
	u, err := url.Parse(db.URL)
	if err != nil {
		p.tb.Fatal(err)
	}
	standby, err := url.Parse(p.Standby.URL)
	if err != nil {
		p.tb.Fatal(err)
	}
	u.Host = standby.Host
	return u.String()
}

// CutOff ends the replication for good, and returns when the standby receives nothing more.
func (p *PostgresPair) CutOff() {
	p.tb.Helper()
	p.exec(p.Standby, "alter system set primary_conninfo = ''")
	p.exec(p.Standby, "select pg_reload_conf()")
	p.exec(p.Standby, "do $$ begin while exists (select from pg_stat_wal_receiver) loop perform pg_sleep(0.01); end loop; end $$")
}

// Promote makes the standby a primary and returns when it can be written to.
func (p *PostgresPair) Promote() {
	p.tb.Helper()
	p.exec(p.Standby, "select pg_promote()")
}

func primaryRecipe(networkName string) recipe {
	r := postgresRecipe(PostgresOptions{})
	request := r.request
	r.request = func(port int) testcontainers.ContainerRequest {
		req := request(port)
		req.Networks = []string{networkName}
		req.NetworkAliases = map[string][]string{networkName: {"primary"}}
		return req
	}
	return r
}

// standbyRecipe copies the primary and follows it. It keeps its data where every image lets the user postgres write.
func standbyRecipe(networkName string) recipe {
	r := postgresRecipe(PostgresOptions{})
	script := fmt.Sprintf("until pg_basebackup --dbname=postgres://%s:%s@primary/postgres --pgdata=/tmp/standby --write-recovery-conf "+
		"--checkpoint=fast; do rm -rf /tmp/standby; sleep 0.2; done; exec %s -D /tmp/standby -c unix_socket_directories=/tmp -c listen_addresses='*'",
		postgresUser, postgresPassword, strings.Join(postgresCommand(nil), " "))
	r.request = func(int) testcontainers.ContainerRequest {
		return testcontainers.ContainerRequest{
			User: "postgres", Entrypoint: []string{"sh", "-c"}, Cmd: []string{script}, Networks: []string{networkName},
		}
	}
	return r
}
