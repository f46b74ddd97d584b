package demo

import (
	"errors"
	"fmt"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/display"
)

// close shows the closed account and the verdict. early says that the game was stopped before its time.
func (d *demo) close(c closing, early bool) error {
	d.progress.enter("finished")
	v := d.view()
	v.Account, v.Backlog = c.Snapshot, c.waiting
	d.screen.finish(v)
	if d.Outage {
		d.screen.say("%s", d.outage.report())
	}
	if d.standIn != nil {
		d.screen.say("%s", d.reportStandIn())
	}
	if failed := d.game.Failed(); failed > 0 {
		d.screen.say("%s transactions of the game failed without being meant to; none of them counts as committed.",
			display.Count(failed))
	}
	d.screen.say("%s", c.Verdict())
	if !c.Balanced() {
		d.screen.say("%s events wait in outbox.events, %s are in outbox.dead_letters.",
			display.Count(c.waiting), display.Count(c.deadLetters))
		return ErrUnbalanced
	}
	if d.standIn != nil {
		text, balanced := d.standIn.verdict(d.books.WasCommitted)
		d.screen.say("%s", text)
		if !balanced {
			return ErrUnbalanced
		}
	}
	if c.Committed == 0 && !early {
		return errors.New("the game committed nothing")
	}
	return nil
}

// report says what the outage did.
func (o outage) report() string {
	if o.began.IsZero() {
		return "The game ended before the outage began."
	}
	down := display.Span(o.ended.Sub(o.began))
	if o.drained.IsZero() {
		return fmt.Sprintf("JetStream was down for %s. The backlog grew from %s to %s events and was not drained.",
			down, display.Count(o.before), display.Count(o.peak))
	}
	return fmt.Sprintf("JetStream was down for %s. The backlog grew from %s to %s events and was drained %s after it came back. "+
		"What was committed meanwhile is left out of the latencies.",
		down, display.Count(o.before), display.Count(o.peak), display.Span(o.drained.Sub(o.ended)))
}

// sayTroubles shows the end of the log, which goes with the demo.
func (d *demo) sayTroubles() {
	if d.log == nil {
		return
	}
	for _, line := range d.log.troubles() {
		d.screen.say("  %s", line)
	}
}

// keep says how to look at the servers that stay.
func (d *demo) keep() {
	d.screen.say(`
Both servers stay until Ctrl-C; then they are removed with their data. To look at them:

  psql '%s' -c 'select * from demo_game.history order by player_id, seq limit 20'
  nats --server %[2]s stream info %[3]s
  nats --server %[2]s stream view %[3]s
  nats --server %[2]s sub --all --headers-only 'game.player.*.level_up'

The log is %[4]s.`, d.postgres.Shown, d.broker.URL(), d.engine.stream, d.log.path)
}
