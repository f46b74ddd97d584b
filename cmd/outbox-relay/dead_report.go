package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// shownEvents is how many events a report names. The log in the database has them all.
const shownEvents = 100

// begin says what was changed in Postgres.
func (r *retryReport) begin() {
	fmt.Fprintf(r.out, "retried %s\n", count(int64(len(r.Retried)), "dead letter"))
	moved := 0
	for i := range r.Retried {
		if r.Retried[i].NewID != r.Retried[i].ID {
			moved++
		}
	}
	if moved > 0 {
		fmt.Fprintf(r.out, "%s a new id, behind all others, because another event has the old one\n", got(moved))
	}
	for i, each := range r.Refused {
		if i == shownEvents {
			fmt.Fprintf(r.out, "and %d more that Postgres refuses\n", len(r.Refused)-i)
			break
		}
		fmt.Fprintf(r.out, "not retried: %d %s: outbox.events refuses it: %s\n", each.ID, each.EventID, printable(each.Err.Error()))
	}
}

func got(n int) string {
	if n == 1 {
		return "1 of them got"
	}
	return fmt.Sprintf("%d of them got", n)
}

// caveat says what an acknowledgement is worth when nobody waits for it.
func (r *retryReport) caveat() {
	if len(r.Retried) == 0 {
		return
	}
	if r.view.stream == nil {
		fmt.Fprintf(r.out, "note: a stream drops an event whose id it has seen within its duplicate window; how long that is could not be read: %s\n",
			printable(r.view.blind))
		return
	}
	var last time.Time
	for i := range r.Retried {
		if failed := r.Retried[i].LastFailedAt; failed.After(last) {
			last = failed
		}
	}
	window := r.view.stream.DuplicateWindow()
	over := last.Add(window)
	if time.Now().After(over) {
		fmt.Fprintf(r.out, "note: the duplicate window of stream %q (%s) is over for all of them since %s, so none that the relay sent is dropped\n",
			r.view.stream.Name(), window, moment(over))
		return
	}
	fmt.Fprintf(r.out, "note: until %s stream %q may drop some of them as duplicates, for it recognises for %s what it has seen; "+
		"nobody waits to see it\n", moment(over), r.view.stream.Name(), window)
}

// end says what became of the retried events.
func (r *retryReport) end(waited time.Duration) {
	r.line(deadletter.Stored, "stored: now in the stream")
	if n := r.count(func(e *deadletter.Retried) bool { return e.Outcome == deadletter.Duplicate }); n > 0 {
		fmt.Fprintf(r.out, "%7d duplicate: the stream recognised the event id and stored nothing new\n", n)
		r.name(deadletter.Duplicate, r.explainDuplicate)
	}
	r.line(deadletter.Dead, "dead again")
	r.name(deadletter.Dead, func(*deadletter.Retried) string { return "refused again" })
	r.line(deadletter.Elsewhere, "taken by another broker: the stream gets them when the relay uses the primary again")
	r.line(deadletter.Acknowledged, "acknowledged, but not seen in the stream: "+printable(r.view.blind))
	r.line(deadletter.Held, "waiting, because another dead letter holds the key")
	r.name(deadletter.Held, func(e *deadletter.Retried) string {
		return "retry or discard the other ones of key " + printable(e.Key)
	})
	r.line(deadletter.Waits, fmt.Sprintf("waiting in outbox.events: the relay has settled nothing for %s", waited))
}

func (r *retryReport) count(is func(*deadletter.Retried) bool) (n int) {
	for i := range r.Retried {
		if is(&r.Retried[i]) {
			n++
		}
	}
	return n
}

// line writes how many events have an outcome, if any has.
func (r *retryReport) line(outcome deadletter.Outcome, text string) {
	if n := r.count(func(e *deadletter.Retried) bool { return e.Outcome == outcome }); n > 0 {
		fmt.Fprintf(r.out, "%7d %s\n", n, text)
	}
}

// name writes a line for each event with an outcome.
func (r *retryReport) name(outcome deadletter.Outcome, explain func(*deadletter.Retried) string) {
	shown := 0
	for i := range r.Retried {
		each := &r.Retried[i]
		if each.Outcome != outcome {
			continue
		}
		if shown++; shown > shownEvents {
			fmt.Fprintln(r.out, "        and more; outbox.dead_letter_log has the outcome of each")
			return
		}
		fmt.Fprintf(r.out, "        %d %s %s: %s\n", each.NewID, each.EventID, printable(each.Subject), explain(each))
	}
}

// explainDuplicate says what a duplicate means for one event.
func (r *retryReport) explainDuplicate(e *deadletter.Retried) string {
	window := r.view.stream.DuplicateWindow()
	if !e.Dropped() {
		return fmt.Sprintf("the stream already holds this event, at sequence %d since %s", e.Found.Sequence, moment(e.Found.StoredAt))
	}
	seen, over := "and no longer holds it", time.Now().Add(window)
	if e.Found != nil {
		over = e.Found.StoredAt.Add(window)
		seen = fmt.Sprintf("from another event, %s at sequence %d, that was given the same id", printable(e.Found.Subject), e.Found.Sequence)
	}
	text := fmt.Sprintf("the stream had the id within its duplicate window of %s, %s", window, seen)
	if e.PutBack {
		return fmt.Sprintf("%s; it is a dead letter again: retry it after %s", text, moment(over))
	}
	return text + "; its row is gone, for relay.retention is short or 0"
}

// refused returns a failure if outbox.events refused some.
func (r *retryReport) refused() error {
	if len(r.Refused) == 0 {
		return nil
	}
	return &failure{
		what: fmt.Sprintf("outbox.events refuses %s", count(int64(len(r.Refused)), "dead letter")),
		next: "such an event cannot be published as it is: publish a corrected one by hand, then discard it",
	}
}

// verdict returns a failure unless the stream holds every retried event.
func (r *retryReport) verdict() error {
	bad, steps := len(r.Refused), []string(nil)
	for _, problem := range problems {
		if n := r.count(problem.is); n > 0 {
			bad += n
			steps = append(steps, problem.next)
		}
	}
	if refused := (*failure)(nil); errors.As(r.refused(), &refused) {
		steps = append(steps, refused.next)
	}
	if bad == 0 {
		return nil
	}
	all := len(r.Retried) + len(r.Refused)
	return &failure{
		what: fmt.Sprintf("the stream is not known to hold %d of %s", bad, count(int64(all), "dead letter")),
		next: strings.Join(steps, "\n"),
	}
}

// problems are what keeps a retry from being a success, each with the next step.
var problems = []struct {
	is   func(*deadletter.Retried) bool
	next string
}{
	{has(deadletter.Dead), "remove the cause of what is dead again, see outbox-relay dead list"},
	{putBack, "retry what was dropped when the duplicate window is over"},
	{droppedForGood, "write anew, from where it came from, what was dropped and is gone; outbox.dead_letter_log names it"},
	{has(deadletter.Held), "deal with the other dead letters of the keys that are held"},
	{has(deadletter.Waits), "see outbox-relay status whether a relay leads and its broker answers: it then publishes what waits"},
	{has(deadletter.Elsewhere), "see outbox-relay status when the relay uses the primary again: it then publishes there what the fallback has"},
	{has(deadletter.Acknowledged), "look for the event ids in the stream by hand, or make it readable"},
}

func putBack(e *deadletter.Retried) bool { return e.Dropped() && e.PutBack }

func droppedForGood(e *deadletter.Retried) bool { return e.Dropped() && !e.PutBack }

// has returns whether an event has an outcome.
func has(outcome deadletter.Outcome) func(*deadletter.Retried) bool {
	return func(e *deadletter.Retried) bool { return e.Outcome == outcome }
}
