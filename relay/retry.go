package relay

import (
	"context"
	"time"
)

// retryLanes publishes what is due in the lanes, and returns a channel that wakes the loop for the next; nil if no lane waits.
func (d *dispatcher) retryLanes(ctx, publishing context.Context) <-chan time.Time {
	for ctx.Err() == nil && d.again == nil {
		due, waits := d.lanes.nextDue()
		if !waits {
			return nil
		}
		if wait := time.Until(due); wait > 0 {
			return time.After(wait)
		}
		d.retryDue(ctx, publishing)
	}
	return nil
}

// retryDue publishes the events of the lanes that are due, once. Whole lanes go together: a publisher stores nothing
// of a key behind a failure.
func (d *dispatcher) retryDue(ctx, publishing context.Context) {
	if !d.awaitFence(ctx, publishing) {
		return
	}
	d.progress.work(databaseLimit)
	now := time.Now()
	ids, taken := d.lanes.takeDue(now, d.size)
	for _, each := range taken {
		if d.tooLate(each.failed.doubt) {
			return
		}
	}
	p, err := d.reread(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			d.track.databaseFailed("read delayed events", err)
			d.pause(ctx, d.backoff.NextBackOff())
		}
		return
	}
	d.track.databaseWorks("read delayed events")
	d.forgetMissing(ids, p, taken)
	if len(p.events) == 0 {
		return
	}
	d.track.retried(len(p.events))
	outcomes, err := d.publish(publishing, p.events)
	d.accountLanes(p.events, outcomes, err)
	left := 0
	for _, outcome := range outcomes {
		left += count(outcome == Outcome{})
	}
	d.react(ctx, err, left, len(p.events))
}

// forgetMissing takes events out of their lanes whose rows somebody else has removed. A page that was cut by its bytes
// says nothing of the ids behind it.
func (d *dispatcher) forgetMissing(ids []int64, p page, taken map[string]*lane) {
	present := make(map[int64]bool, len(p.events))
	for i := range p.events {
		present[p.events[i].ID] = true
	}
	readTo := int64(0)
	if len(p.events) > 0 {
		readTo = p.events[len(p.events)-1].ID
	}
	cut := p.bytes >= d.cfg.BatchBytes
	missing := make(map[int64]bool)
	for _, id := range ids {
		if !present[id] && (!cut || id < readTo) {
			missing[id] = true
		}
	}
	if len(missing) == 0 {
		return
	}
	for _, each := range taken {
		for _, id := range append([]int64(nil), each.ids...) {
			if missing[id] {
				d.lanes.leave(each, id)
				d.lanes.parked.remove(id)
			}
		}
	}
	d.track.blocked(d.lanes.blocked.now())
	d.track.delayed(d.lanes.events)
}

// accountLanes sends what was decided on events of lanes to the settle loop, and takes them out of their lanes. Those of which a Publish
// that failed said nothing may be stored.
func (d *dispatcher) accountLanes(events []Event, outcomes []Outcome, failure error) {
	now := time.Now()
	var news settlement
	duplicates, fixed := 0, false
	for i := range events {
		event, outcome := &events[i], &outcomes[i]
		switch {
		case outcome.Stored:
			news.add(event, outcome)
			d.metrics.endToEnd.Observe(d.clock.age(event.CreatedAt, now).Seconds())
			duplicates += count(outcome.Duplicate)
		case outcome.Err == nil:
			if each := d.lanes.of(event); each != nil && failure != nil && each.failed.doubt == 0 {
				each.failed.doubt = d.began
			}
			continue
		case !d.refused(event, nil, outcome.Err, now, &news):
			continue
		}
		if each := d.lanes.of(event); each != nil {
			fixed = fixed || each.blocked && outcome.Stored
			d.lanes.leave(each, event.ID)
		}
	}
	if fixed {
		d.lanes.hurryBlocked(now)
	}
	d.send(news, duplicates, now)
	d.track.delayed(d.lanes.events)
}
