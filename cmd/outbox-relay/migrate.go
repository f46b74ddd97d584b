package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
)

func newMigrateCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Creates and changes the outbox in Postgres",
		Args:  knownSubcommand,
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newMigrateUpCommand(environ), newMigrateDownCommand(environ), newMigrateStatusCommand(environ))
	return cmd
}

func newMigrateUpCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Applies every migration that the database lacks",
		Long: `Applies every migration that the database lacks. It removes no data, makes no writer wait, and may be run by any number of
processes at once. The role needs the right to create a schema, and a direct connection rather than a transaction pooler.

Where several sources are configured it migrates each of them, or the one that --source names; one that fails keeps none of the others
waiting.`,
		Args: noArguments,
	}
	withDatabases(cmd, environ, func(ctx context.Context, db *sql.DB, settings *config.Settings) error {
		return migrateUp(ctx, db, settings, cmd.OutOrStdout())
	})
	return cmd
}

func newMigrateDownCommand(environ []string) *cobra.Command {
	var opts migrations.DownOptions
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Undoes the newest migration",
		Long:  "Undoes the newest migration, one a call. It refuses to drop a table that holds rows, unless --drop-rows is given.",
		Args:  noArguments,
	}
	cmd.Flags().BoolVar(&opts.DropRows, "drop-rows", false, "drop a table that holds events or dead letters; they are lost")
	withDatabase(cmd, environ, func(ctx context.Context, db *sql.DB, settings *config.Settings) error {
		step, err := migrations.Down(ctx, db, opts)
		if err != nil {
			return explainMigration(settings, "cannot undo the migration", err)
		}
		return printSteps(cmd.OutOrStdout(), "undone", []migrations.Step{step})
	})
	return cmd
}

func newMigrateStatusCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Lists the migrations, applied and pending",
		Args:  noArguments,
	}
	withDatabases(cmd, environ, func(ctx context.Context, db *sql.DB, settings *config.Settings) error {
		state, err := migrations.Status(ctx, db)
		if err != nil {
			return explainMigration(settings, "cannot read the migrations", err)
		}
		return printState(cmd.OutOrStdout(), state)
	})
	return cmd
}

// databaseWork is what a command does with a database.
type databaseWork func(context.Context, *sql.DB, *config.Settings) error

// withDatabase makes work what the command does, with the database of one source.
func withDatabase(cmd *cobra.Command, environ []string, work databaseWork) {
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load("postgres.url")
		if err != nil {
			return err
		}
		return work.on(cmd.Context(), settings)
	}
}

// withDatabases makes work what the command does, with the database of each source in turn, under a heading if there are several.
func withDatabases(cmd *cobra.Command, environ []string, work databaseWork) {
	load := sourcesOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sources, err := load("postgres.url")
		if err != nil {
			return err
		}
		if len(sources) == 1 {
			return work.on(cmd.Context(), sources[0])
		}
		var failed []string
		for _, settings := range sources {
			fmt.Fprintf(cmd.OutOrStdout(), "source %s:\n", settings.Source)
			if err := work.on(cmd.Context(), settings); err != nil {
				report(cmd.ErrOrStderr(), err)
				failed = append(failed, settings.Source)
			}
		}
		if len(failed) == 0 {
			return nil
		}
		return &failure{what: fmt.Sprintf("%d of %d sources failed: %s", len(failed), len(sources), listNames(failed))}
	}
}

func (work databaseWork) on(ctx context.Context, settings *config.Settings) error {
	db, err := openDB(ctx, settings)
	if err != nil {
		return err
	}
	defer db.Close()
	return work(ctx, db, settings)
}

// migrateUp applies what the database lacks and prints each step. Steps that were applied before one failed are printed too.
func migrateUp(ctx context.Context, db *sql.DB, settings *config.Settings, out io.Writer) error {
	steps, err := migrations.Up(ctx, db)
	printed := printSteps(out, "applied", steps)
	if err != nil {
		return explainMigration(settings, "cannot migrate the database", err)
	}
	if printed != nil {
		return printed
	}
	_, err = fmt.Fprintf(out, "the schema has version %d\n", migrations.Latest())
	return err
}

func printSteps(out io.Writer, did string, steps []migrations.Step) error {
	for _, s := range steps {
		if _, err := fmt.Fprintf(out, "%s %d %s in %s\n", did, s.Version, s.Name, s.Took.Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func printState(out io.Writer, state migrations.State) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED")
	for _, m := range state.Migrations {
		applied, name := "pending", m.Name
		if !m.AppliedAt.IsZero() {
			applied = m.AppliedAt.UTC().Format(time.RFC3339)
		}
		if name == "" {
			name = "(unknown to this program)"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", m.Version, printable(name), applied)
	}
	return table.Flush()
}
