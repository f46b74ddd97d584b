package integration_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// hardenedSQL returns the statements that docs/SECURITY.md shows, one text for each of their blocks.
func hardenedSQL(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/SECURITY.md")
	require.NoError(t, err)
	for _, block := range strings.Split(string(text), "```sql\n")[1:] {
		statements, _, found := strings.Cut(block, "```")
		require.True(t, found)
		blocks = append(blocks, statements)
	}
	require.Len(t, blocks, 2)
	return blocks
}

// TestHardenedPostgres sets a database up as docs/SECURITY.md does, and runs a relay, two services
// and a person in it. No one else gets in.
func TestHardenedPostgres(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	admin, err := pgx.Connect(t.Context(), server.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(t.Context())) }()
	exec := func(conn *pgx.Conn, statements string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), statements)
		require.NoError(t, err, statements)
	}
	exec(admin, "create database game")
	blocks := hardenedSQL(t)
	url := strings.Replace(server.URL, "/postgres?", "/game?", 1)
	game, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	exec(game, blocks[0])
	require.NoError(t, game.Close(t.Context()))
	for _, role := range []string{"outbox_owner", "outbox_relay", "billing", "shop", "alice", "stranger"} {
		if role == "stranger" {
			exec(admin, "create role stranger login")
		}
		exec(admin, fmt.Sprintf("alter role %s password 'hunter2'", role))
	}
	of := func(role string) string { return as(t, url, role, "hunter2") }

	newCLI(t, of("outbox_owner")).mustRun(t, "migrate", "up")
	owner, err := pgx.Connect(t.Context(), of("outbox_owner"))
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close(t.Context())) }()
	exec(owner, blocks[1])

	env := []string{"OUTBOX_MQ_NATS_URL=" + harness.StartNATS(t, harness.NATSOptions{}).URL}
	relay := newCLI(t, of("outbox_relay"), env...).start(t)
	relay.requireLeads(t)
	newCLI(t, of("billing")).mustRun(t, "publish", "game.billing.paid", "{}")
	newCLI(t, of("shop")).mustRun(t, "publish", "game.x.sold", "{}")
	got := newCLI(t, of("shop")).run(t, "publish", "game.billing.paid", "{}")
	require.NotZero(t, got.code)
	require.Contains(t, got.err, "role shop may not write subject game.billing.paid, only game.shop.>, game.*.sold")
	require.Eventually(t, func() bool {
		_, body := relay.get(t, "/api/v1/status")
		return statusOf(body, "default").Published == 2
	}, cliTimeout, 20*time.Millisecond)
	newCLI(t, of("alice"), env...).mustRun(t, "dead", "list")
	newCLI(t, of("alice"), env...).mustRun(t, "verify")

	_, err = pgx.Connect(t.Context(), of("stranger"))
	require.ErrorContains(t, err, "permission denied for database")
	code, _ := relay.stop(t)
	require.Zero(t, code)
}

// TestSecurityPagesShowTheSameConfigurations in English and in Chinese.
func TestSecurityPagesShowTheSameConfigurations(t *testing.T) {
	t.Parallel()
	blocks := func(page string) []string {
		text, err := os.ReadFile("../docs/" + page)
		require.NoError(t, err)
		return regexp.MustCompile("(?s)```\\w.*?```").FindAllString(string(text), -1)
	}
	require.Len(t, blocks("SECURITY.md"), 5)
	require.Equal(t, blocks("SECURITY.md"), blocks("SECURITY.zh-CN.md"))
}
