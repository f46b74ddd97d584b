package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/deadletter"
)

func newDeadCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Lists, shows, retries and discards dead letters",
		Long: `Works on the events that the broker has refused for good: the rows of outbox.dead_letters. They stay there until a person
retries or discards them. The role of postgres.url needs the rights of outbox.grant_operator; to list, those of
outbox.grant_relay are enough.`,
		Args: knownSubcommand,
		RunE: needsSubcommand,
	}
	cmd.AddCommand(newDeadListCommand(environ), newDeadShowCommand(environ), newDeadRetryCommand(environ), newDeadDiscardCommand(environ))
	return cmd
}

// deadLetters is the store of dead letters that a command works with, and what it needs to explain an error.
type deadLetters struct {
	*deadletter.Store
	db       relay.Queryer
	settings *config.Settings
}

// withDeadLetters makes work what the command does, with the store of the configured database.
func withDeadLetters(cmd *cobra.Command, load loadFunc, work func(context.Context, deadLetters) error) error {
	settings, err := load("postgres.url")
	if err != nil {
		return err
	}
	pool, err := openPool(cmd.Context(), settings)
	if err != nil {
		return err
	}
	defer pool.Close()
	return work(cmd.Context(), deadLetters{Store: deadletter.NewStore(pool), db: pool, settings: settings})
}

// explain gives an error of the database its next step; what says what failed.
func (d deadLetters) explain(ctx context.Context, what string, err error) error {
	f := &failure{what: what, cause: err, value: d.settings.Show("postgres.url")}
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return f
	}
	if refused.Code == "42501" {
		role, err := d.Role(ctx)
		if err != nil {
			role = "<the user of postgres.url>"
		}
		f.next = fmt.Sprintf("as the owner of the schema, run: select outbox.grant_operator('%s')", role)
		return f
	}
	found := (*relay.CheckError)(nil)
	if errors.As(relay.Check(ctx, d.db, migrations.Latest()), &found) && found.Problem != relay.ProblemNoRight {
		return explainCheck(d.settings, found)
	}
	return f
}
