package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// minWatchInterval keeps `status --watch` from being a load of its own.
const minWatchInterval = 100 * time.Millisecond

// overview is what the status command knows: of each source what the database says, and what the relay says of itself.
type overview struct {
	Sources []sourceView `json:"sources"`
	Relay   relayView    `json:"relay"`
}

// sourceView is one source.
type sourceView struct {
	Source  string         `json:"source"`
	Backlog *relay.Backlog `json:"backlog,omitempty"` // nil if the database did not tell
	Lease   *relay.Lease   `json:"lease,omitempty"`   // who leads, by the database; nil if that did not tell
	Error   string         `json:"error,omitempty"`   // why it did not
	Relay   *relay.Status  `json:"relay,omitempty"`   // nil if the relay did not tell
}

// relayView is the relay as seen over its admin address.
type relayView struct {
	URL   string `json:"url,omitempty"`   // empty if admin.listen is
	Error string `json:"error,omitempty"` // why no relay answers; it may run elsewhere
}

func newStatusCommand(environ []string) *cobra.Command {
	var asJSON, watch bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows what waits in the outbox and what the relay does",
		Long: `Shows how many events wait in the outbox and for how long, measured in the database in a time that does not grow with the
backlog, and what the relay at admin.listen says of itself. It works while no relay runs. Of several sources it shows a line
each, and what is wrong with those that are in trouble; --source shows everything of one.`,
		Args: noArguments,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with --watch one object a line")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until interrupted, also while the database is away")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "pause between two looks of --watch, at least 100ms")
	load := sourcesOf(cmd, environ, "postgres", "admin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if interval < minWatchInterval {
			return usageError(cmd, errors.New("--interval is "+interval.String()+", allowed: 100ms or more"))
		}
		sources, err := load("postgres.url")
		if err != nil {
			return err
		}
		s := statusView{sources: sources, out: cmd.OutOrStdout(), write: writeTable}
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

// statusView shows overviews of the sources of one configuration.
type statusView struct {
	sources []*config.Settings
	out     io.Writer
	write   func(io.Writer, overview) error
}

// asked is a source with the way to its database.
type asked struct {
	settings *config.Settings
	pool     *pgxpool.Pool
	err      error // why there is no connection
}

// once shows one overview. It fails if a database did not answer, after it has shown what the relay says.
func (s statusView) once(ctx context.Context) error {
	opened := make([]asked, len(s.sources))
	s.each(func(i int) {
		opened[i].settings = s.sources[i]
		opened[i].pool, opened[i].err = openPool(ctx, s.sources[i])
	})
	defer closePools(opened)
	return s.look(ctx, opened)
}

// watch shows one overview after the other until ctx ends.
func (s statusView) watch(ctx context.Context, interval time.Duration) error {
	opened := make([]asked, len(s.sources))
	defer closePools(opened)
	for i, settings := range s.sources {
		pool, err := newPool(ctx, settings)
		if err != nil {
			return err
		}
		opened[i] = asked{settings: settings, pool: pool}
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		clearScreen(s.out)
		if err := s.look(ctx, opened); errors.Is(err, errOutput) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func closePools(opened []asked) {
	for _, each := range opened {
		if each.pool != nil {
			each.pool.Close()
		}
	}
}

// sideBySide is how many databases are asked at once.
const sideBySide = 16

// each does something for every source, several at once.
func (s statusView) each(do func(i int)) {
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for i := range s.sources {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait() // there are no errors
}

// errOutput is wrapped by an error of writing to the terminal or the pipe, after which there is nobody to watch for.
var errOutput = errors.New("cannot write the status")

// look shows one overview and returns why the databases did not answer that did not.
func (s statusView) look(ctx context.Context, opened []asked) error {
	seen := overview{Sources: make([]sourceView, len(opened))}
	errs := make([]error, len(opened))
	s.each(func(i int) { errs[i] = seen.Sources[i].ask(ctx, opened[i]) })
	s.askRelay(ctx, &seen)
	if ctx.Err() != nil {
		return nil // interrupted in mid-look: what was not answered means nothing
	}
	if err := s.write(s.out, seen); err != nil {
		return errors.Join(errOutput, err)
	}
	return unanswered(seen, errs)
}

// unanswered returns the error of the databases that did not answer; the overview has shown what each of them says.
func unanswered(seen overview, errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	var names []string
	for i, err := range errs {
		if err != nil {
			names = append(names, seen.Sources[i].Source)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &failure{
		what: fmt.Sprintf("%d of %d databases do not tell their backlog: %s", len(names), len(errs), listNames(names)),
		next: "outbox-relay status --source " + names[0],
	}
}

// ask measures the backlog and asks who leads. Where that fails, the checks of a starting relay say why better than an error of SQL does.
func (s *sourceView) ask(ctx context.Context, a asked) error {
	s.Source = a.settings.Source
	err := a.err
	if err == nil {
		err = s.askDatabase(ctx, a)
	}
	if err != nil {
		s.Error = err.Error()
	}
	return err
}

func (s *sourceView) askDatabase(ctx context.Context, a asked) error {
	backlog, err := relay.ReadBacklog(ctx, a.pool)
	if err == nil {
		var lease relay.Lease
		if lease, err = relay.ReadLease(ctx, a.pool); err == nil {
			s.Backlog, s.Lease = &backlog, &lease
			return nil
		}
	}
	if problem := relay.Check(ctx, a.pool, migrations.Latest()); problem != nil {
		return explainCheck(a.settings, problem)
	}
	return &failure{what: "cannot measure the backlog", cause: err, value: a.settings.Show("postgres.url")}
}

// askRelay adds what the relay says.
func (s statusView) askRelay(ctx context.Context, seen *overview) {
	listen := s.sources[0].Config.Admin.Listen
	if listen == "" {
		seen.Relay.Error = `admin.listen is "", so no relay can be asked`
		return
	}
	seen.Relay.URL = admin.URL(listen)
	status, err := admin.FetchStatus(ctx, seen.Relay.URL)
	if err != nil {
		seen.Relay.Error = err.Error()
		return
	}
	for i := range seen.Sources {
		seen.Sources[i].Relay = status.Of(seen.Sources[i].Source)
	}
}

func writeJSON(out io.Writer, seen overview) error { return json.NewEncoder(out).Encode(seen) }
