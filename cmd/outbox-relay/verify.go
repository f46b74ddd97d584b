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

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay/selection"
	"github.com/gameoutbox/relay/relay/verify"
)

// shownFindings is how many findings are shown unless all are asked for.
const shownFindings = 20

const verifyHelp = `Compares the retained events (relay.retention) that were acknowledged with the stream, and reports those that are missing,
duplicated, out of order for their key, or altered. Events that the stream has dropped by its own limits count as expired. What a
limit that was lifted since may have dropped counts as missing, with a note: consumers may have got it. The command
changes nothing, and a relay may publish and purge meanwhile. With two brokers the stream is that of the primary; what only the fallback
has counts as not compared, until the relay has published it there too. What only a broker has that is not configured counts as
missing from the stream, unless failover.rehome is false.

--repair sends the missing events again: the relay publishes them by its ordinary path, and the command looks whether they have
arrived. The stream would drop an event that it stored within its duplicate window, even one that it has lost since; the command waits
until that is over, or leaves such events with --no-wait. An event that is sent again stands behind the later events of
its key, so the next verify calls it out of order while it is retained. Altered, duplicated and out-of-order events
cannot be repaired.

The role needs the rights of outbox.grant_relay, with --repair those of outbox.grant_operator.

Exit codes: 0 if the stream is whole, or was repaired and nothing else is wrong; 1 if something was found or could not be
compared; 2 wrong usage or configuration.`

// verifyCommand is one call of verify.
type verifyCommand struct {
	settings *config.Settings
	what     selection.Selection
	repair   bool
	noWait   bool
	all      bool // show every finding
	asJSON   bool
	out, err io.Writer
}

// verified is the outcome as --json shows it.
type verified struct {
	*verify.Report
	Whole    bool             `json:"whole"`
	Findings []verify.Finding `json:"findings"`
	Omitted  int64            `json:"findings_omitted"` // how many more there are
	Repair   *verify.Repaired `json:"repair,omitempty"`

	foreign []foreignEvents
}

func newVerifyCommand(environ []string) *cobra.Command {
	var flags selectionFlags
	var v verifyCommand
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compares the retained events with the stream, and sends the missing again",
		Long:  verifyHelp,
		Example: `  outbox-relay verify
  outbox-relay verify --since 1h --subject 'game.player.>' --json
  outbox-relay verify --repair`,
		Args: noArguments,
	}
	flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&v.repair, "repair", false, "send the missing events again")
	cmd.Flags().BoolVar(&v.noWait, "no-wait", false, "with --repair: leave events that the stream would still drop as duplicates")
	cmd.Flags().BoolVar(&v.all, "all-findings", false, fmt.Sprintf("show every finding, not only the first %d", shownFindings))
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "print JSON")
	load := sourceOf(cmd, environ, "postgres", "mq", "redis")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if v.what, err = flags.selection(time.Now()); err != nil {
			return usageError(cmd, err)
		}
		if v.noWait && !v.repair {
			return usageError(cmd, errors.New("--no-wait is for --repair"))
		}
		if v.settings, err = load("postgres.url"); err != nil {
			return err
		}
		v.out, v.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return v.run(cmd.Context())
	}
	return cmd
}

func (v *verifyCommand) run(ctx context.Context) error {
	broker, err := openLedger(v.settings)
	if err != nil {
		return err
	}
	defer broker.close()
	open := openPool
	if v.repair {
		open = openOperatorPool
	}
	pool, err := open(ctx, v.settings)
	if err != nil {
		return err
	}
	defer pool.Close()
	found, err := v.compare(ctx, pool, broker)
	if err != nil {
		return err
	}
	if err := v.print(found); err != nil {
		return err
	}
	return found.verdict()
}

// compare verifies, and repairs if that is asked for.
func (v *verifyCommand) compare(ctx context.Context, pool *pgxpool.Pool, broker *ledger) (*verified, error) {
	line := newProgressBar(v.err)
	defer line.clear()
	found := &verified{Findings: []verify.Finding{}}
	opts := verify.Options{
		DB: pool, Ledger: broker, Broker: broker.publisher.Name(), Selection: v.what, Found: v.collect(found),
		Progress: func(p verify.Progress) { line.show(p.Doing, p.Done, p.Total, "") },
	}
	var err error
	if found.Report, err = verify.Run(ctx, opts); err != nil {
		return nil, v.explain(ctx, pool, err)
	}
	found.foreign = foreignTo(v.settings.Config, broker.publisher.Name(), found.Others)
	found.Whole = found.Report.Whole() && len(found.foreign) == 0
	if !v.repair || found.Missing == 0 {
		return found, nil
	}
	repaired, err := verify.Repair(ctx, verify.RepairOptions{Options: opts, NoWait: v.noWait, Say: func(text string) {
		line.clear()
		fmt.Fprintf(v.err, "outbox-relay: %s\n", printable(text))
	}}, found.Report)
	found.Repair = &repaired
	if err != nil {
		return nil, v.explain(ctx, pool, err)
	}
	return found, nil
}

// collect keeps as many findings as are shown.
func (v *verifyCommand) collect(found *verified) func(verify.Finding) {
	return func(f verify.Finding) {
		if !v.all && len(found.Findings) >= shownFindings {
			found.Omitted++
			return
		}
		found.Findings = append(found.Findings, f)
	}
}

func (v *verifyCommand) explain(ctx context.Context, pool *pgxpool.Pool, err error) error {
	if stopped := explainStopped(ctx, "run it again; it has kept nothing, and a repair that had begun is completed by the relay"); stopped != nil {
		return stopped
	}
	if errors.Is(err, verify.ErrReplaced) {
		return &failure{what: "cannot compare the stream", cause: err, next: "run it again; `outbox-relay status` tells what the relay does about it"}
	}
	if broken := explainLedger(v.settings, err); broken != nil {
		return broken
	}
	return explainDatabase(ctx, pool, v.settings, "cannot compare the events with the stream", err)
}

func (v *verifyCommand) print(found *verified) error {
	if v.asJSON {
		return json.NewEncoder(v.out).Encode(found)
	}
	return writeVerified(v.out, found)
}
