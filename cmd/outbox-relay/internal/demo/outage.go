package demo

import (
	"context"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/display"
)

// outage is the time in which the JetStream server was away. It belongs to the goroutine of interrupt, and after the game
// to that of the account.
type outage struct {
	began, ended time.Time
	before       int64 // the backlog when it began
	peak         int64 // the largest backlog up to drained: a Redis that stands in takes it, and what it got waits again afterwards
	drained      time.Time
	caughtUp     <-chan struct{} // closed when everything that waited at its end was received
}

// interrupt stops the JetStream server for the second third of the game, and less if the game ends early.
func (d *demo) interrupt(ctx context.Context) error {
	third := d.Duration / 3
	if !sleep(ctx, third) {
		return nil
	}
	d.breakDown(ctx)
	down, end := context.WithTimeout(ctx, third)
	defer end()
	if d.standIn != nil {
		d.watchLeave(down)
	}
	<-down.Done()
	if err := d.recover(ctx); err != nil {
		return err
	}
	if d.standIn != nil {
		d.watchReturn(ctx)
	}
	select {
	case <-d.outage.caughtUp:
		d.caughtUp("playing")
	case <-ctx.Done():
	}
	return nil
}

// breakDown stops the server: every connection breaks, with whatever was under way on it.
func (d *demo) breakDown(ctx context.Context) {
	d.outage.before = d.resetPeak(ctx)
	d.books.Disturbed(true)
	d.outage.began = time.Now()
	d.broker.Stop()
	d.progress.enter("JetStream is down")
	d.screen.say("The JetStream server was stopped. The game goes on; its events wait in Postgres.")
}

// recover starts the server again, also when the game is over.
func (d *demo) recover(ctx context.Context) error {
	waiting := d.measure(context.WithoutCancel(ctx))
	d.outage.peak = d.progress.largest()
	d.outage.caughtUp = d.books.MarkWaiting()
	if err := d.broker.Resume(); err != nil {
		return err
	}
	d.outage.ended = time.Now()
	d.progress.enter("catching up")
	d.screen.say("The JetStream server is back after %s. %s events wait.",
		display.Span(d.outage.ended.Sub(d.outage.began)), display.Count(waiting))
	return nil
}

// caughtUp notes that everything that waited at the end of the outage was received.
func (d *demo) caughtUp(phase string) {
	d.outage.drained = time.Now()
	d.outage.peak = d.progress.largest()
	d.books.Disturbed(false)
	d.progress.enter(phase)
}
