package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// maxInput bounds what is read as a payload, in bytes. It is far above what the outbox takes, whose own error is the better one.
const maxInput = 64 << 20

// publishFlags are the parts of an event that flags give.
type publishFlags struct {
	key     string
	id      string
	headers []string
}

func newPublishCommand(environ []string) *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish SUBJECT [PAYLOAD | -]",
		Short: "Inserts one event into the outbox by hand",
		Long: `Inserts one event into the outbox, in a transaction of its own, and prints its id. The payload is taken as it stands, or read
from standard input where it is "-"; without one it is empty. A relay publishes the event.`,
		Example: `  outbox-relay publish game.player.42.level_up '{"player_id": 42, "level": 7}' --key player:42
  outbox-relay publish game.match.ended - --header content-type=application/json < match.json`,
		Args: cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVar(&flags.key, "key", "", "ordering `key`: events with the same key are published in order")
	cmd.Flags().StringVar(&flags.id, "id", "", "`uuid` of the event, by which the broker knows duplicates (default a new one)")
	cmd.Flags().StringArrayVar(&flags.headers, "header", nil, "header, as `name=value`; may be given again")
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		event, err := flags.event(cmd, args)
		if err != nil {
			return usageError(cmd, err)
		}
		settings, err := load("postgres.url")
		if err != nil {
			return err
		}
		if err := insert(cmd.Context(), settings, event); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), outbox.ID(event.ID))
		return err
	}
	return cmd
}

// event makes the event of the command line, and refuses one that could never be published.
func (f publishFlags) event(cmd *cobra.Command, args []string) (outbox.Raw, error) {
	id, err := f.eventID()
	if err != nil {
		return outbox.Raw{}, err
	}
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return outbox.Raw{}, err
	}
	payload, err := readPayload(cmd.InOrStdin(), args[1:])
	if err != nil {
		return outbox.Raw{}, &failure{what: "cannot read the payload from standard input", cause: err}
	}
	event := outbox.Raw{Subject: args[0], Key: f.key, Headers: headers, Payload: payload, ID: id}
	return event, outbox.Validate(event)
}

func (f publishFlags) eventID() (outbox.ID, error) {
	if f.id == "" {
		return outbox.NewID(), nil
	}
	id, err := outbox.ParseID(f.id)
	if err == nil && id == (outbox.ID{}) {
		return id, errors.New("--id is the zero UUID, which says nothing; leave --id out to get a new one")
	}
	return id, err
}

func parseHeaders(pairs []string) (map[string]string, error) {
	headers := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("--header is %q, allowed: name=value", pair)
		}
		if _, twice := headers[name]; twice {
			return nil, fmt.Errorf("--header %s is given twice, allowed: once", name)
		}
		headers[name] = value
	}
	return headers, nil
}

func readPayload(stdin io.Reader, args []string) ([]byte, error) {
	switch {
	case len(args) == 0:
		return nil, nil
	case args[0] != "-":
		return []byte(args[0]), nil
	}
	return io.ReadAll(io.LimitReader(stdin, maxInput))
}

// insert writes the event on a connection of its own: who may write events need not have the rights of a relay.
func insert(ctx context.Context, settings *config.Settings, event outbox.Raw) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg, err := relay.ConnConfig(settings.Config.Postgres.URL)
	if err != nil {
		return unreachable(settings, err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return unreachable(settings, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what was inserted is committed by then
	if err := outbox.PublishOutsideTx(ctx, relay.Pin(conn), event); err != nil {
		return &failure{what: "cannot insert the event", cause: err, value: settings.Show("postgres.url"), next: nextAfterInsert(err)}
	}
	return nil
}

// nextAfterInsert says what to do about an event that the database did not take.
func nextAfterInsert(err error) string {
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return "check that the server still runs, then publish again with the same --id"
	}
	switch refused.Code {
	case "25006":
		return writable
	case "42P01":
		return "run: outbox-relay migrate up"
	case "42501":
		return "as the owner of the schema, run: select outbox.grant_writer('<the user of postgres.url>')"
	}
	return "see the log of the server"
}
