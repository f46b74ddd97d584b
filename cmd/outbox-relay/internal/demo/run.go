package demo

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/game"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/throwaway"
)

// demo is one run of the command.
type demo struct {
	Options
	screen *screen
	books  *account.Account
	clean  cleanup

	log      *logfile
	postgres *throwaway.Server
	broker   *broker.Server
	engine   *engine
	consumer *broker.Consumer
	game     *game.Game
	fallback *broker.Fallback // nil without Redis

	progress progress
	outage   outage
	standIn  *standIn      // nil without Redis
	rehomed  atomic.Int64  // events that JetStream got after Redis
	patience time.Duration // the drain is given up when nothing was received for so long
}

// ErrNoPostgres is wrapped by the error of a demo that found no way to a Postgres. A person can install a Postgres server, start
// Docker, or name a server.
var ErrNoPostgres = throwaway.ErrNone

// ErrUnbalanced says that the relay did not keep its promise; the verdict on the screen says in what.
var ErrUnbalanced = errors.New("the account does not balance")

// Run plays the demo and returns nil only if the account balances. When stop ends, the game ends early, and what it committed is
// still drained and accounted for. Whatever happens, Run removes everything that it made; with o.Keep it does so when stop ends.
func Run(stop context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	d := newDemo(o)
	defer func() { err = errors.Join(err, d.clean.run()) }()
	if err := d.setUp(stop); err != nil {
		return d.notBegun(stop, err)
	}
	err = d.perform(stop)
	if err != nil {
		d.sayTroubles()
	}
	if o.Keep && stop.Err() == nil {
		d.keep()
		<-stop.Done()
	}
	return err
}

func newDemo(o Options) *demo {
	return &demo{Options: o, screen: newScreen(o), books: account.New(), patience: time.Minute}
}

// notBegun returns the error of the preparations; a person who stops them has asked for it.
func (d *demo) notBegun(stop context.Context, err error) error {
	if stop.Err() != nil {
		d.screen.say("Stopped before the game began.")
		return nil
	}
	d.sayTroubles()
	return err
}

// perform plays the game, waits until the backlog is drained, and closes the account.
func (d *demo) perform(stop context.Context) error {
	d.progress.begin(time.Now())
	endLive := d.live()
	defer endLive()
	if err := d.play(stop); err != nil {
		return err
	}
	c, err := d.audit()
	if err != nil {
		return err
	}
	endLive()
	return d.close(c, stop.Err() != nil)
}
