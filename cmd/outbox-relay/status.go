package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// minWatchInterval keeps `status --watch` from being a load of its own.
const minWatchInterval = 100 * time.Millisecond

// overview is what the status command knows: what the database says, and what the relay says of itself.
type overview struct {
	Backlog *relay.Backlog `json:"backlog,omitempty"` // nil if the database did not tell
	Lease   *relay.Lease   `json:"lease,omitempty"`   // who leads, by the database; nil if that did not tell
	Error   string         `json:"error,omitempty"`   // why it did not
	Relay   relayView      `json:"relay"`
}

// relayView is the relay as seen over its admin address.
type relayView struct {
	URL    string        `json:"url,omitempty"` // empty if admin.listen is
	Status *relay.Status `json:"status,omitempty"`
	Error  string        `json:"error,omitempty"` // why there is no status; the relay may run elsewhere
}

func newStatusCommand(environ []string) *cobra.Command {
	var asJSON, watch bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows what waits in the outbox and what the relay does",
		Long: `Shows how many events wait in the outbox and for how long, measured in the database in a time that does not grow with the
backlog, and what the relay at admin.listen says of itself. It works while no relay runs.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with --watch one object a line")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until interrupted, also while the database is away")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "pause between two looks of --watch, at least 100ms")
	load := settingsOf(cmd, environ, "postgres", "admin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if interval < minWatchInterval {
			return usageError(cmd, errors.New("--interval is "+interval.String()+", allowed: 100ms or more"))
		}
		settings, err := load("postgres.url")
		if err != nil {
			return err
		}
		s := statusView{settings: settings, out: cmd.OutOrStdout(), write: writeTable}
		if asJSON {
			s.write = writeJSON
		}
		if watch {
			return s.watch(cmd.Context(), interval)
		}
		return s.once(cmd.Context())
	}
	return cmd
}

// statusView shows overviews of one outbox.
type statusView struct {
	settings *config.Settings
	out      io.Writer
	write    func(io.Writer, overview) error
}

// once shows one overview. It fails if the database did not answer, after it has shown what the relay says.
func (s statusView) once(ctx context.Context) error {
	pool, err := openPool(ctx, s.settings)
	if err == nil {
		defer pool.Close()
	}
	return s.look(ctx, pool, err)
}

// watch shows one overview after the other until ctx ends.
func (s statusView) watch(ctx context.Context, interval time.Duration) error {
	cfg := s.settings.Config.Postgres
	pool, err := relay.NewPool(ctx, cfg.URL, cfg.MaxConns)
	if err != nil {
		return unreachable(s.settings, err)
	}
	defer pool.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		clearScreen(s.out)
		if err := s.look(ctx, pool, nil); errors.Is(err, errOutput) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// errOutput is wrapped by an error of writing to the terminal or the pipe, after which there is nobody to watch for.
var errOutput = errors.New("cannot write the status")

// look shows one overview and returns why the database did not answer, if it did not; dbErr is set if there is no connection.
func (s statusView) look(ctx context.Context, pool *pgxpool.Pool, dbErr error) error {
	seen := overview{Relay: s.askRelay(ctx)}
	if dbErr == nil {
		seen.Backlog, seen.Lease, dbErr = s.askDatabase(ctx, pool)
	}
	if ctx.Err() != nil {
		return nil // interrupted in mid-look: what was not answered means nothing
	}
	if dbErr != nil {
		seen.Error = dbErr.Error()
	}
	if err := s.write(s.out, seen); err != nil {
		return errors.Join(errOutput, err)
	}
	return dbErr
}

// askDatabase measures the backlog and asks who leads. Where that fails, the checks of a starting relay say why better than an error
// of SQL does.
func (s statusView) askDatabase(ctx context.Context, pool *pgxpool.Pool) (*relay.Backlog, *relay.Lease, error) {
	backlog, err := relay.ReadBacklog(ctx, pool)
	if err == nil {
		var lease relay.Lease
		if lease, err = relay.ReadLease(ctx, pool); err == nil {
			return &backlog, &lease, nil
		}
	}
	if problem := relay.Check(ctx, pool, migrations.Latest()); problem != nil {
		return nil, nil, explainCheck(s.settings, problem)
	}
	return nil, nil, &failure{what: "cannot measure the backlog", cause: err, value: s.settings.Show("postgres.url")}
}

func (s statusView) askRelay(ctx context.Context) relayView {
	listen := s.settings.Config.Admin.Listen
	if listen == "" {
		return relayView{Error: `admin.listen is "", so no relay can be asked`}
	}
	view := relayView{URL: admin.URL(listen)}
	status, err := admin.FetchStatus(ctx, view.URL)
	if err != nil {
		view.Error = err.Error()
		return view
	}
	view.Status = &status
	return view
}

func writeJSON(out io.Writer, seen overview) error { return json.NewEncoder(out).Encode(seen) }
