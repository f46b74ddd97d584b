package harness

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is a database of one test, on a shared server or on the test's own.
type Database struct {
	// URL connects to the database as the superuser.
	URL string
	// Pool is connected to the database as the superuser. It is closed when the test ends.
	Pool *pgxpool.Pool
}

// Postgres returns a migrated database of the test's own on the Postgres that this process shares. It is
// dropped when the test ends, whoever is still connected to it.
func Postgres(tb testing.TB) *Database {
	tb.Helper()
	return sharedPostgresOf(tb).Database(tb)
}

// EmptyPostgres is [Postgres] without the migrations.
func EmptyPostgres(tb testing.TB) *Database {
	tb.Helper()
	return sharedPostgresOf(tb).EmptyDatabase(tb)
}

var sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) {
	server, err := startPostgres(context.Background(), PostgresOptions{})
	if err == nil {
		shared.add(server.remove)
	}
	return server, err
})

func sharedPostgresOf(tb testing.TB) *PostgresServer {
	tb.Helper()
	server, err := sharedPostgres()
	if err != nil {
		tb.Fatal(err)
	}
	return server
}

// Database returns a new migrated database on the server.
func (p *PostgresServer) Database(tb testing.TB) *Database {
	tb.Helper()
	if err := p.migrated(); err != nil {
		tb.Fatal(err)
	}
	return p.database(tb, " TEMPLATE "+template)
}

// EmptyDatabase returns a new database on the server, without the migrations.
func (p *PostgresServer) EmptyDatabase(tb testing.TB) *Database {
	tb.Helper()
	return p.database(tb, "")
}

var databases atomic.Int64

func (p *PostgresServer) database(tb testing.TB, template string) *Database {
	tb.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	if err := p.exec(tb.Context(), "CREATE DATABASE "+name+template); err != nil {
		tb.Fatalf("create the test's database: %v", err)
	}
	if p.tb == nil { // a shared server outlives the test; a server of the test's own takes its databases with it
		tb.Cleanup(func() { p.drop(tb, name) })
	}
	db := &Database{URL: p.databaseURL(name)}
	pool, err := pgxpool.New(context.WithoutCancel(tb.Context()), db.URL)
	if err != nil {
		tb.Fatalf("connect to the test's database: %v", err)
	}
	tb.Cleanup(pool.Close)
	db.Pool = pool
	return db
}

func (p *PostgresServer) drop(tb testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := p.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		tb.Errorf("drop the test's database: %v", err)
	}
}
