package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gameoutbox/relay/config"
)

const longHelp = `outbox-relay forwards events from a Postgres outbox table to NATS JetStream or a Redis Stream: each event of a committed
transaction once, and the events of one key in order.

Settings come from config.yaml (or --config), then from the environment (mq.nats_url is OUTBOX_MQ_NATS_URL), then from flags
(--mq.nats_url). "outbox-relay config print --defaults" writes a file with all of them.

Exit codes: 0 success or a clean stop on SIGTERM or SIGINT, 1 failure, 2 wrong usage or configuration.`

// newRootCommand returns the whole command line; environ is the environment as os.Environ gives it.
func newRootCommand(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "outbox-relay",
		Short:         "Forwards events from a Postgres outbox to NATS JetStream or Redis Streams",
		Long:          longHelp,
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true,
		Args:          knownSubcommand,
		RunE:          needsSubcommand,
	}
	root.SetFlagErrorFunc(explainFlag)
	root.AddCommand(
		newRunCommand(environ),
		newMigrateCommand(environ),
		newStatusCommand(environ),
		newPublishCommand(environ),
		newDeadCommand(environ),
		newVerifyCommand(environ),
		newReplayCommand(environ),
		newConfigCommand(environ),
		newVersionCommand(),
		newDemoCommand(),
	)
	return root
}

// commandLine finds the command lines in a text, up to their first flag or argument at least.
var commandLine = regexp.MustCompile("outbox-relay(?: [a-z]+)+")

// withSource adds the --source that a command was told, if it was, to the command lines in a text: they are about the same database.
func withSource(text string, told *cobra.Command) string {
	source := told.Flags().Lookup(sourceFlag)
	if source == nil || !source.Changed {
		return text
	}
	return commandLine.ReplaceAllStringFunc(text, func(line string) string {
		words := strings.Fields(line)
		named, rest, _ := told.Root().Find(words[1:]) // words that follow in the text are no subcommands
		if named.Flags().Lookup(sourceFlag) == nil {
			return line
		}
		words = slices.Insert(words, len(words)-len(rest), "--"+sourceFlag, source.Value.String())
		return strings.Join(words, " ")
	})
}

// execute runs the command that root's arguments name, prints its error, and returns the exit code.
func execute(ctx context.Context, root *cobra.Command) int {
	root.SetOut(safeWriter{root.OutOrStdout()})
	root.SetErr(safeWriter{root.ErrOrStderr()})
	understood := false
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return codeOK
	}
	if !understood {
		err = usageError(command, err)
	}
	if f := (*failure)(nil); understood && errors.As(err, &f) {
		f.next = withSource(f.next, command)
	}
	var text bytes.Buffer
	code := report(&text, err)
	writeWithin(flushTimeout, root.ErrOrStderr(), text.Bytes())
	return code
}

// knownSubcommand refuses the arguments of a command that only holds others: they are no subcommand.
func knownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	guess := ""
	if near := config.Nearest(args[0], names); near != "" {
		guess = ", did you mean " + near + "?"
	}
	return fmt.Errorf("unknown command %q of %s%s", args[0], cmd.CommandPath(), guess)
}

// noArguments refuses arguments without showing them: one may be the value of a secret that has
// lost its flag.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no arguments, and %d were given", cmd.CommandPath(), len(args))
}

// needsSubcommand is what a command does that only holds others.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	fmt.Fprintln(cmd.ErrOrStderr(), cmd.UsageString())
	return usageError(cmd, errors.New("a subcommand is missing"))
}

// usageError is an error of someone who called the command in a way that it does not know.
func usageError(cmd *cobra.Command, err error) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		return err
	}
	return &failure{what: err.Error(), next: fmt.Sprintf("see %s --help", cmd.CommandPath()), code: codeUsage}
}

// explainFlag adds a guess to the error for an unknown flag.
func explainFlag(cmd *cobra.Command, err error) error {
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) {
		return err
	}
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -pSECRET, as other programs have it
		return fmt.Errorf("unknown flag -%s", unknown.GetSpecifiedName())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	if guess := config.Nearest(unknown.GetSpecifiedName(), names); guess != "" {
		return fmt.Errorf("%w, did you mean --%s?", err, guess)
	}
	return err
}
