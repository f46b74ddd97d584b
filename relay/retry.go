package relay

import (
	"context"
	"slices"
	"time"
)

// retry publishes some of what waits and is due, and returns a channel that wakes the loop for the next; nil if nothing
// waits. New events have their turn between two retries.
func (d *dispatcher) retry(ctx, publishing context.Context) <-chan time.Time {
	if d.aside.overflow && d.lanes.events <= maxParked/2 {
		d.aside.released = true
	}
	lane, waits := d.lanes.nextDue()
	sample, aside := d.aside.nextDue()
	now := time.Now()
	switch {
	case aside && !sample.After(now):
		d.trySamples(ctx, publishing)
	case waits && !lane.After(now):
		d.retryDue(ctx, publishing)
	case waits && (!aside || lane.Before(sample)):
		return time.After(lane.Sub(now))
	case aside:
		return time.After(sample.Sub(now))
	default:
		return nil
	}
	return time.After(0)
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
	p, ok := d.readWaiting(ctx, ids)
	if !ok {
		return
	}
	d.forgetMissing(d.missing(ids, p), taken)
	if len(p.events) == 0 {
		return
	}
	d.track.retried(len(p.events))
	outcomes, err := d.publish(publishing, p.events)
	d.accountLanes(p.events, outcomes, err)
	d.react(ctx, err, unknown(outcomes), len(p.events))
}

// unknown returns of how many events nothing is known.
func unknown(outcomes []Outcome) (events int) {
	for _, outcome := range outcomes {
		events += count(outcome == Outcome{})
	}
	return events
}

// readWaiting reads events that wait, and reports whether the database answered.
func (d *dispatcher) readWaiting(ctx context.Context, ids []int64) (page, bool) {
	p, err := d.reread(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			d.track.databaseFailed("read delayed events", err)
			d.pause(ctx, d.backoff.NextBackOff())
		}
		return page{}, false
	}
	d.track.databaseWorks("read delayed events")
	return p, true
}

// missing returns the ids whose rows were removed by hand. A page that was cut by its bytes says nothing of the ids
// behind it.
func (d *dispatcher) missing(ids []int64, p page) (missing []int64) {
	present := make(map[int64]bool, len(p.events))
	for i := range p.events {
		present[p.events[i].ID] = true
	}
	readTo := int64(0)
	if len(p.events) > 0 {
		readTo = p.events[len(p.events)-1].ID
	}
	cut := p.omitted || p.bytes >= d.cfg.BatchBytes
	for _, id := range ids {
		if !present[id] && (!cut || id < readTo) {
			missing = append(missing, id)
		}
	}
	return missing
}

// forgetMissing takes events out of their lanes whose rows are gone.
func (d *dispatcher) forgetMissing(missing []int64, taken map[string]*lane) {
	if len(missing) == 0 {
		return
	}
	for _, each := range taken {
		for _, id := range slices.Clone(each.ids) {
			if slices.Contains(missing, id) {
				d.leaveLane(each, id)
				d.lanes.parked.remove(id)
			}
		}
	}
	d.noteDelayed()
}

// accountLanes sends what was decided on events of lanes to the settle loop, and takes them out of their lanes. Those of which a Publish
// that failed said nothing may be stored.
func (d *dispatcher) accountLanes(events []Event, outcomes []Outcome, failure error) {
	now := time.Now()
	var news settlement
	duplicates := 0
	for i := range events {
		event, outcome := &events[i], &outcomes[i]
		switch {
		case outcome.Stored:
			news.add(event, outcome)
			d.metrics.endToEnd.Observe(d.clock.age(event.CreatedAt, now).Seconds())
			duplicates += count(outcome.Duplicate && !outcome.Repeated)
		case outcome.Err == nil:
			if each := d.lanes.of(event); each != nil && stateOf(failure) != BrokerOK && each.failed.doubt == 0 {
				each.failed.doubt = d.began
			}
			continue
		case !d.refused(event, nil, outcome.Err, now, &news):
			continue
		}
		if each := d.lanes.of(event); each != nil {
			d.leaveLane(each, event.ID)
		}
	}
	d.send(news, duplicates, now)
	d.noteDelayed()
}
