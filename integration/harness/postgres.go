package harness

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" for the migrations, which speak database/sql
	"github.com/testcontainers/testcontainers-go"

	"github.com/gameoutbox/relay/migrations"
)

// The superuser of every Postgres here, and the database that its server URL names.
const (
	postgresUser     = "postgres"
	postgresPassword = "outbox"
	template         = "outbox_template"
)

// PostgresOptions are the settings of [StartPostgres]. The zero value is a server as it is installed, with durable
// commits, that takes many connections; so is the one that all tests share.
type PostgresOptions struct {
	// Version is the major version, "14" to "18". Empty is the version that all tests use, see the package's doc.
	Version string
	// Settings are server settings such as "max_connections": "20"; they win over the harness's own.
	Settings map[string]string
}

// PostgresServer is a Postgres of one test. Its URL names the maintenance database "postgres" and the superuser.
type PostgresServer struct {
	*Server
	migrated func() error
}

// StartPostgres starts a Postgres of the test's own.
func StartPostgres(tb testing.TB, options PostgresOptions) *PostgresServer {
	tb.Helper()
	server, err := startPostgres(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	server.own(tb)
	return server
}

func startPostgres(ctx context.Context, options PostgresOptions) (*PostgresServer, error) {
	server, err := postgresRecipe(options).start(ctx)
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{Server: server}
	p.migrated = sync.OnceValue(p.createTemplate)
	return p, nil
}

func postgresRecipe(options PostgresOptions) recipe {
	return recipe{
		name:    "postgres",
		version: options.Version,
		port:    "5432/tcp",
		url:     func(port int) string { return postgresURL(port, "postgres") },
		ping:    pingPostgres,
		request: func(int) testcontainers.ContainerRequest {
			return testcontainers.ContainerRequest{
				Env: map[string]string{"POSTGRES_USER": postgresUser, "POSTGRES_PASSWORD": postgresPassword},
				Cmd: postgresCommand(options.Settings),
			}
		},
	}
}

func postgresCommand(own map[string]string) []string {
	settings := map[string]string{"max_connections": "300"}
	maps.Copy(settings, own)
	command := []string{"postgres"}
	for name, value := range settings {
		command = append(command, "-c", name+"="+value)
	}
	return command
}

func postgresURL(port int, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgresUser, postgresPassword),
		Host:     fmt.Sprintf("127.0.0.1:%d", port),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func pingPostgres(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// createTemplate makes the migrated database that the tests' databases are copies of. Nobody may be connected to it later,
// or the copies fail.
func (p *PostgresServer) createTemplate() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := p.exec(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	db, err := sql.Open("pgx", p.databaseURL(template))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := migrations.Up(ctx, db); err != nil {
		return fmt.Errorf("migrate the template database: %w", err)
	}
	return nil
}

// exec runs one statement as the superuser in the maintenance database.
func (p *PostgresServer) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

func (p *PostgresServer) databaseURL(name string) string {
	u, err := url.Parse(p.URL)
	if err != nil {
		panic(err) // the URL is our own
	}
	u.Path = name
	return u.String()
}
