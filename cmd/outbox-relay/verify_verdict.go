package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay/verify"
)

// verdict returns nil if the stream is whole, or was made whole, and otherwise what is wrong and what a person can do.
func (v *verified) verdict() error {
	missing := v.Missing
	if v.Repair != nil {
		missing -= v.Repair.Stored
	}
	var wrong []string
	for _, each := range []struct {
		events int64
		what   string
	}{{missing, "missing"}, {v.Duplicated, "duplicated"}, {v.OutOfOrder, "out of order"}, {v.Altered, "altered"}} {
		if each.events > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", each.events, each.what))
		}
	}
	for _, each := range v.foreign {
		wrong = append(wrong, fmt.Sprintf("%d acknowledged by %s alone, which is not configured", each.events, each.broker))
	}
	if len(wrong) == 0 {
		return nil
	}
	return &failure{what: "the stream is not whole: " + strings.Join(wrong, ", "), next: strings.Join(v.nextSteps(missing), "\n")}
}

// nextSteps says what a person can do about what is wrong, a line for each kind.
func (v *verified) nextSteps(missing int64) (steps []string) {
	add := func(when bool, step string) {
		if when {
			steps = append(steps, step)
		}
	}
	repaired := v.Repair
	if missing > 0 && repaired == nil {
		steps = append(steps, v.repairSteps()...)
	}
	if repaired != nil {
		add(repaired.Young > 0, "send the rest again when the duplicate window is over: outbox-relay verify --repair")
		add(repaired.Dropped > 0, "the stream has dropped some as duplicates after all; run outbox-relay verify --repair again later")
		add(repaired.Unsettled > 0, "start a relay, or see outbox-relay status for what keeps it: it publishes the rest, then verify again")
		add(repaired.Gone > 0, "some were purged before they could be sent, or became dead letters (outbox.dead_letters); raise relay.retention")
	}
	add(v.Duplicated > 0, "let consumers recognise duplicates by their event id, or remove the second of each with the broker's own tools")
	add(v.OutOfOrder > 0, "have the events of the key applied again in order: outbox-relay replay --new-ids --key KEY")
	add(v.Altered > 0, "find out who else writes to the stream; publish the originals again: outbox-relay replay --new-ids --event-id ID")
	for _, each := range v.foreign {
		steps = append(steps, each.next)
	}
	return steps
}

// foreignEvents are retained events that only a broker has which is not configured, and what to do
// about them.
type foreignEvents struct {
	broker string
	events int64
	next   string
}

// foreignTo returns those of the events that other streams acknowledged which no configured broker
// has. Those of an older stream of the same broker were stored there, and are purged like any
// others.
func foreignTo(cfg config.Config, broker string, others []verify.Other) (foreign []foreignEvents) {
	for _, other := range others {
		pair := other.Broker == redisstream.Name && cfg.UsesFailover()
		if other.Broker == broker || pair || !cfg.Failover.Rehome {
			continue
		}
		next := fmt.Sprintf("configure %s again, or set failover.rehome to false to let its events go", other.Broker)
		if slices.Contains(rehomed(cfg), other.Broker) || other.Broker == noop.Name {
			next = fmt.Sprintf("start a relay, or see outbox-relay status for what keeps it: it publishes to %s what only %s has", broker, other.Broker)
		}
		foreign = append(foreign, foreignEvents{broker: other.Broker, events: other.Events, next: next})
	}
	return foreign
}

// repairSteps says what a person can do about events that are missing and were not sent again. It advises nothing that makes a full stream
// remove or refuse others.
func (v *verified) repairSteps() (steps []string) {
	if v.Doubtful > 0 {
		steps = append(steps, fmt.Sprintf("ask the consumers for %d of the missing: a limit of the stream, or a consumer, may have removed them after "+
			"they were delivered", v.Doubtful))
	}
	if uint64(v.Missing) > v.Room {
		steps = append(steps, fmt.Sprintf("raise the limits of stream %s (max_msgs, max_bytes, redis.max_len): only %d more events are sure to fit; for the rest "+
			"it would remove or refuse others", v.Stream, v.Room))
	}
	if len(steps) > 0 {
		return append(steps, "then send the missing again, if consumers need them: outbox-relay verify --repair")
	}
	return []string{"send the missing again: outbox-relay verify --repair"}
}

// repairText says what became of the missing events.
func repairText(r *verify.Repaired) string {
	parts := []string{fmt.Sprintf("%d of %d, which the stream holds now", r.Stored, r.Missing)}
	for _, each := range []struct {
		events int64
		what   string
	}{
		{r.Young, "were left: the stream would still drop them as duplicates"},
		{r.Unsettled, "wait to be published" + colon(r.Why)},
		{r.Dropped, "were dropped by the stream as duplicates"},
		{r.Gone, "were purged, or became dead letters"},
	} {
		if each.events > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", each.events, each.what))
		}
	}
	return strings.Join(parts, "; ")
}
