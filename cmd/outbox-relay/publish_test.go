package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

func TestEventOfACommandLine(t *testing.T) {
	t.Parallel()
	const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	parsed, err := outbox.ParseID(id)
	require.NoError(t, err)
	cmd := &cobra.Command{}
	cmd.SetIn(strings.NewReader("from stdin"))

	flags := publishFlags{key: "player:1", id: id, headers: []string{"a=b=c", "empty="}}
	event, err := flags.event(cmd, []string{"game.x", "{}"})
	require.NoError(t, err)
	require.Equal(t, outbox.Raw{
		Subject: "game.x", Key: "player:1", Payload: []byte("{}"), ID: parsed, Headers: map[string]string{"a": "b=c", "empty": ""},
	}, event)

	event, err = publishFlags{}.event(cmd, []string{"game.x", "-"})
	require.NoError(t, err)
	require.Equal(t, "from stdin", string(event.Payload))
	require.NotZero(t, event.ID)

	event, err = publishFlags{}.event(cmd, []string{"game.x"})
	require.NoError(t, err)
	require.Empty(t, event.Payload)
}

func TestEventThatCouldNeverBePublishedIsWrongUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no subject":        {nil, "accepts between 1 and 2 arg(s), received 0"},
		"wildcard":          {[]string{"game.>"}, `subject "game.>" is refused`},
		"not a uuid":        {[]string{"game.x", "--id=5"}, `"5" is not a UUID`},
		"zero uuid":         {[]string{"game.x", "--id=00000000-0000-0000-0000-000000000000"}, "--id is the zero UUID"},
		"header by colon":   {[]string{"game.x", "--header=a:b"}, `--header is "a:b", allowed: name=value`},
		"header twice":      {[]string{"game.x", "--header=a=b", "--header=a=c"}, "--header a is given twice, allowed: once"},
		"reserved header":   {[]string{"game.x", "--header=Nats-Msg-Id=5"}, `headers "Nats-Msg-Id" is refused`},
		"too much by stdin": {[]string{"game.x", "-"}, "payload of 2097152 bytes is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call{args: append([]string{"publish"}, tc.args...), stdin: strings.Repeat("x", 2<<20)}.run(t)
			require.Equal(t, codeUsage, got.code)
			require.Contains(t, got.err, tc.want)
			require.Contains(t, got.err, "next:  see outbox-relay publish --help")
		})
	}
}

func TestNextStepAfterAnEventThatWasNotTaken(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"42P01": "run: outbox-relay migrate up",
		"42501": "as the owner of the schema, run: select outbox.grant_writer('<the user of postgres.url>')",
		"53100": "see the log of the server",
	} {
		require.Equal(t, want, nextAfterInsert(fmt.Errorf("outbox: %w", &pgconn.PgError{Code: code})))
	}
	require.Contains(t, nextAfterInsert(errors.New("connection lost")), "check that the server still runs")
}

func TestBrokenStandardInputIsAFailure(t *testing.T) {
	t.Parallel()
	root := newRootCommand(nil)
	var errOut bytes.Buffer
	root.SetErr(&errOut)
	root.SetIn(iotest.ErrReader(errors.New("broken pipe")))
	root.SetArgs([]string{"publish", "game.x", "-"})
	require.Equal(t, codeFailure, execute(t.Context(), root))
	require.Equal(t, "outbox-relay: cannot read the payload from standard input\n  cause: broken pipe\n", errOut.String())
}
