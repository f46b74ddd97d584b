package throwaway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds how long a server that was started may take until it answers.
const startTimeout = time.Minute

// oldest is the oldest Postgres that the outbox supports, as server_version_num.
const oldest = 140000

// errEnded says that a server ended instead of getting ready.
var errEnded = errors.New("the server ended while it was starting")

// waitReady waits until the server answers and returns its version. It gives up when ended is closed or after startTimeout.
func waitReady(ctx context.Context, url string, ended <-chan struct{}) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		version, err = serverVersion(ctx, url)
		if err == nil || errors.Is(err, errTooOld) {
			return version, err
		}
		select {
		case <-ended:
			return "", errEnded
		case <-ctx.Done():
			return "", fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errTooOld = errors.New("the outbox needs Postgres 14 or newer")

// serverVersion asks the server for its version and refuses one that is too old.
func serverVersion(ctx context.Context, url string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var number int
	var version string
	const ask = `select current_setting('server_version_num')::int, current_setting('server_version')`
	err = conn.QueryRow(ctx, ask).Scan(&number, &version)
	if err != nil {
		return "", err
	}
	if number < oldest {
		return "", fmt.Errorf("%w, and this is %s", errTooOld, version)
	}
	return version, nil
}
