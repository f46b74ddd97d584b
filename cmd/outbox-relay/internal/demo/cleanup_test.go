package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
)

func TestCleanupGoesBackwardsAndDoesNotGiveUp(t *testing.T) {
	t.Parallel()
	var c cleanup
	var undone []string
	broken := errors.New("it is stuck")
	for _, name := range []string{"first", "second", "third"} {
		c.later("undo "+name, func(context.Context) error {
			undone = append(undone, name)
			if name == "second" {
				return broken
			}
			return nil
		})
	}
	err := c.run()
	require.ErrorIs(t, err, broken)
	assert.EqualError(t, err, "could not undo second: it is stuck")
	assert.Equal(t, []string{"third", "second", "first"}, undone)
	assert.NoError(t, c.run(), "nothing is undone twice")
}

func TestWorkdir(t *testing.T) {
	dir, err := makeWorkdir(os.Geteuid())
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Zero(t, info.Mode()&0o066, "nobody else reads or writes it")
	assert.Equal(t, os.Geteuid() == 0, passable(dir), "root's directory can be entered by Postgres' user")
}

func TestRootAvoidsATemporaryDirectoryOfItsOwn(t *testing.T) {
	hidden := filepath.Join(t.TempDir(), "hidden")
	require.NoError(t, os.Mkdir(hidden, 0o700))
	t.Setenv("TMPDIR", hidden)
	dir, err := makeWorkdir(0)
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	assert.NotEqual(t, hidden, filepath.Dir(dir))
	assert.True(t, passable(dir))
}

func TestTroublesOfTheLog(t *testing.T) {
	t.Parallel()
	var c cleanup
	l, err := openLog(filepath.Join(t.TempDir(), "demo.log"), &c)
	require.NoError(t, err)
	l.log.Info("all is well")
	for range logTail {
		l.log.Warn("hm", zap.String("what", "error"))
	}
	l.log.Error("broken")
	require.NoError(t, c.run())
	lines := l.troubles()
	require.Len(t, lines, logTail)
	assert.Regexp(t, `^20\d\d-\S+\twarn\thm\t\{"what": "error"\}$`, lines[0])
	assert.Contains(t, lines[logTail-1], "\terror\tbroken")
	assert.NotContains(t, lines, "all is well")
}

func TestOnlyAnEventThatAgreesWithItselfCounts(t *testing.T) {
	t.Parallel()
	good := func() broker.Delivery {
		return broker.Delivery{
			EventID: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", Key: "7", Subject: "game.player.7.level_up",
			Data: []byte(`{"event_id":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","player_id":7,"seq":1}`),
		}
	}
	for name, spoil := range map[string]func(*broker.Delivery){
		"another id":      func(d *broker.Delivery) { d.EventID = "00000000-9dad-41d1-80b4-00c04fd430c8" },
		"no id":           func(d *broker.Delivery) { d.EventID = "" },
		"another key":     func(d *broker.Delivery) { d.Key = "8" },
		"another subject": func(d *broker.Delivery) { d.Subject = "game.player.77.level_up" },
		"a cut payload":   func(d *broker.Delivery) { d.Data = d.Data[:len(d.Data)-1] },
		"no payload":      func(d *broker.Delivery) { d.Data = nil },
	} {
		d := &demo{books: account.New()}
		delivery := good()
		spoil(&delivery)
		d.receive(delivery)
		assert.Equal(t, 1, d.books.Close().Foreign, name)
	}
	d := &demo{books: account.New()}
	d.receive(good())
	assert.Equal(t, 1, d.books.Snapshot().Received)
	assert.Zero(t, d.books.Snapshot().Foreign)
}
