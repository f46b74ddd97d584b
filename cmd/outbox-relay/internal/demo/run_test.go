package demo

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// paper is a screen that a test can read while the demo writes, and that calls onLine for each line.
type paper struct {
	mu     sync.Mutex
	text   strings.Builder
	onLine func(line string)
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	if p.onLine != nil {
		p.onLine(string(b))
	}
	return len(b), nil
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestOutage(t *testing.T) {
	t.Parallel()
	out := &paper{}
	o := options(t, out)
	o.Duration, o.Outage = 6*time.Second, true
	require.NoError(t, Run(t.Context(), o), "%s", out)
	text := out.String()
	assert.Regexp(t, `JetStream was down for [2-9]\.\d+ s\. The backlog grew from \d+ to [\d,]{3,} events and was drained`, text)
	assert.Contains(t, text, "s JetStream is down: committed ")
	assert.Regexp(t, `The account balances: all \d{3,} committed events were received exactly once`, text)
}

func TestStopEndsTheGameEarlyAndStillAccounts(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := &paper{onLine: func(line string) {
		if strings.Contains(line, "playing:") {
			stop()
		}
	}}
	o := options(t, out)
	o.Duration, o.Keep, o.Outage = time.Hour, true, true
	require.NoError(t, Run(ctx, o), "%s", out)
	text := out.String()
	assert.Contains(t, text, "The game ended before the outage began.")
	assert.Contains(t, text, "The account balances")
	assert.NotContains(t, text, "stay until Ctrl-C", "a game that was stopped keeps nothing")
}

func TestStopInAnOutage(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := &paper{onLine: func(line string) {
		if strings.Contains(line, "JetStream is down:") {
			stop()
		}
	}}
	o := options(t, out)
	o.Duration, o.Outage = 10*time.Second, true
	require.NoError(t, Run(ctx, o), "%s", out)
	assert.Regexp(t, `The backlog grew from \d+ to [\d,]+ events and was drained`, out.String())
	assert.Contains(t, out.String(), "The account balances")
}

func TestStopBeforeTheGame(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := &paper{onLine: func(line string) {
		if strings.Contains(line, "is up") {
			stop()
		}
	}}
	require.NoError(t, Run(ctx, options(t, out)))
	assert.True(t, strings.HasSuffix(out.String(), "Stopped before the game began.\n"), "%s", out)
}

func TestKeep(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	looked := make(chan error, 1)
	out := &paper{}
	o := options(t, out)
	o.Duration, o.Keep = time.Second, true
	server, err := pgx.ParseConfig(o.PostgresURL)
	require.NoError(t, err)
	out.onLine = func(line string) {
		if _, hint, ok := strings.Cut(line, "psql '"); ok {
			url, _, _ := strings.Cut(hint, "'")
			go func() { defer stop(); looked <- look(url, server.Password) }()
		}
	}
	require.NoError(t, Run(ctx, o), "%s", out)
	assert.NoError(t, <-looked)
	assert.Contains(t, out.String(), "stream info game-events")
	require.NotEmpty(t, server.Password)
	assert.NotContains(t, out.String(), ":"+server.Password+"@", "the password of a given server is not shown")
}

// look does what the hint of --keep says, as someone who knows the password.
func look(url, password string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	config.Password = password
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	var seq int64
	return conn.QueryRow(context.Background(), `select seq from demo_game.history order by player_id, seq limit 1`).Scan(&seq)
}

func TestARelayThatEndsIsNoticed(t *testing.T) {
	t.Parallel()
	d := ready(t)
	d.engine.cancel()
	assert.ErrorIs(t, d.perform(t.Context()), errRelayEnded)
}

func TestAnUnreachableServer(t *testing.T) {
	t.Parallel()
	o := options(t, io.Discard)
	o.PostgresURL = "postgres://nobody:secret@127.0.0.1:1/none"
	err := Run(t.Context(), o)
	require.ErrorContains(t, err, "--postgres-url")
	assert.NotContains(t, err.Error(), "secret")
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"--duration is 100ms, allowed: 1s or more":                  {Duration: 100 * time.Millisecond, Rate: 1},
		"--rate is 0, allowed: 1 or more":                           {Duration: time.Second},
		"allowed with --outage: 3s or more":                         {Duration: time.Second, Rate: 1, Outage: true},
		"--redis-url is for --outage":                               {Duration: time.Minute, Rate: 1, RedisURL: "redis://localhost"},
		"allowed with --redis-url: 12s or more":                     {Duration: time.Second, Rate: 1, Outage: true, RedisURL: "redis://localhost"},
		"--redis-url is not a URL":                                  {Duration: time.Minute, Rate: 1, Outage: true, RedisURL: "http://hunter2@x"},
		"makes 36000000 events, allowed: 20000000, for the account": {Duration: time.Hour, Rate: 10_000},
	} {
		assert.ErrorContains(t, Run(t.Context(), o), want)
	}
	assert.NoError(t, DefaultOptions().Validate())
}
