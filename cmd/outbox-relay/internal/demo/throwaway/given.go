package throwaway

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// startGiven creates a database in the server that server names. Stop drops it, whoever is still connected.
func startGiven(ctx context.Context, server string) (*Server, error) {
	version, err := serverVersion(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("--postgres-url: %w", err)
	}
	name := randomName()
	own, err := withDatabase(server, name)
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, server, "create database "+name); err != nil {
		return nil, fmt.Errorf("--postgres-url: the demo plays in a database of its own, which it may not create: %w", err)
	}
	return &Server{
		URL: own, Shown: withoutPassword(own), Version: version, Origin: "given, database " + name,
		stop: func(ctx context.Context) error {
			if err := execute(ctx, server, "drop database if exists "+name+" with (force)"); err != nil {
				return fmt.Errorf("database %s is left behind, drop it by hand: %w", name, err)
			}
			return nil
		},
	}, nil
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}

// passwordWord finds the password among key=value words, quoted or not.
var passwordWord = regexp.MustCompile(`(?i)\bpassword\s*=\s*('(\\.|[^'\\])*'|\S*)\s*`)

// withoutPassword returns a connection string without its password: libpq asks for it, or finds it in ~/.pgpass.
func withoutPassword(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return passwordWord.ReplaceAllString(server, "")
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	query.Del("password")
	u.RawQuery = query.Encode()
	return u.String()
}

// withDatabase returns the connection string with another database, in the form that it had.
func withDatabase(server, name string) (string, error) {
	if !strings.HasPrefix(server, "postgres://") && !strings.HasPrefix(server, "postgresql://") {
		return server + " dbname=" + name, nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("--postgres-url is not a URL")
	}
	query := u.Query()
	query.Del("dbname")
	query.Del("database")
	u.Path, u.RawQuery = "/"+name, query.Encode()
	return u.String(), nil
}
