package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// writeTable writes an overview for people.
func writeTable(out io.Writer, seen overview) error {
	var text bytes.Buffer
	t := table{tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)}
	if len(seen.Sources) == 1 {
		t.source(seen.Sources[0], seen.Relay)
	} else {
		t.sources(seen)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

// table is a list of names and values.
type table struct{ *tabwriter.Writer }

func (t table) row(name, format string, args ...any) {
	fmt.Fprintf(t, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
}

// source writes everything that is known of one source.
func (t table) source(s sourceView, r relayView) {
	if b := s.Backlog; b == nil {
		t.row("outbox", "unknown: %s", s.Error)
	} else {
		t.row("backlog", "%s%s", atMost(b.Exact), count(b.Events, "event"))
		t.row("lag", "%s", seconds(b.Lag))
		t.row("dead letters", "%d", b.DeadLetters)
	}
	if s.Lease != nil {
		t.row("leader", "%s", leader(s.Lease))
	}
	t.relay(s, r)
}

func (t table) relay(view sourceView, r relayView) {
	s := view.Relay
	if s == nil {
		t.row("relay", "%s", noRelay(r))
		return
	}
	t.row("relay", "%s for %s, at %s", s.State, since(s.Since), r.URL)
	t.row("name", "%s", s.Name)
	t.row("ready", "%s", readiness(s))
	t.row("broker", "%s %s for %s%s", s.Broker.Name, s.Broker.State, since(s.Broker.Since), colon(s.Broker.Error))
	if f := s.Failover; f != nil {
		t.row("failover", "%s", standing(f))
	}
	t.row("published", "%s, %d of them known to the broker already", count(int64(s.Published), "event"), s.Duplicates)
	t.row("sent again", "%d", s.Retried)
	t.row("now dead", "%d since the relay started", s.DeadLetters)
	t.row("delayed", "%s%s", count(int64(s.Delayed), "event"), delayed(s))
	t.row("held", "%s", held(s))
	if s.Loss != nil {
		t.row("last loss", "%s: %s", moment(s.Loss.At), loss(s.Loss))
	}
	for _, warning := range s.Warnings {
		t.row("warning", "%s", warning)
	}
}

// leader says who leads an outbox, by the database's clock.
func leader(l *relay.Lease) string {
	term := fmt.Sprintf("term %d", l.Term)
	switch {
	case l.Held:
		return fmt.Sprintf("%s since %s, %s, until %s unless it is renewed", l.Owner, moment(l.Since), term, moment(l.Until))
	case l.Owner != "":
		return fmt.Sprintf("none: the lease of %s, %s, expired at %s", l.Owner, term, moment(l.Until))
	case l.Term == 0:
		return "none: no relay ever led"
	}
	return fmt.Sprintf("none: the last one, %s, gave the lease back at %s", term, moment(l.Since))
}

// standing says which of two brokers is used.
func standing(f *relay.FailoverStatus) string {
	used := "primary " + f.Primary
	if f.OnFallback {
		used = fmt.Sprintf("fallback %s in place of %s", f.Fallback, f.Primary)
	}
	return fmt.Sprintf("%s for %s%s", used, since(f.Since), colon(f.Reason))
}

// delayed says why events are delayed, unless that is one of the warnings.
func delayed(s *relay.Status) string {
	if s.Blocked != nil {
		return ""
	}
	return colon(s.DelayedError)
}

// held says which keys wait for a person.
func held(s *relay.Status) string {
	if s.HeldKeys == 0 {
		return "no key"
	}
	return fmt.Sprintf("%s with %s, until dead letters are retried or discarded", count(int64(s.HeldKeys), "key"), count(int64(s.HeldEvents), "event"))
}

// loss says what a stream has lost, and what was done about it.
func loss(l *relay.Loss) string {
	did := "none of them is published again"
	switch {
	case l.Healed:
		did = "they are published again"
	case l.Doubtful:
		did = "none of them is published again; outbox-relay verify counts them"
	}
	return fmt.Sprintf("%s; of the lost events %d are retained, %s", l.Cause, l.Events, did)
}

func noRelay(r relayView) string {
	switch {
	case r.Error == "":
		return fmt.Sprintf("the one at %s does not serve this source; was its configuration changed since it started?", r.URL)
	case r.URL == "":
		return r.Error
	}
	return fmt.Sprintf("none answers at %s (%s)", r.URL, r.Error)
}

func readiness(s *relay.Status) string {
	if s.Ready {
		return "yes"
	}
	return "no" + colon(s.NotReady)
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func atMost(exact bool) string {
	if exact {
		return ""
	}
	return "at most "
}

func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// seconds writes a lag: fine while it is short, coarse when it is long.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func since(t time.Time) string { return time.Since(t).Round(time.Second).String() }

// clearScreen makes room for the next overview where out is a terminal.
func clearScreen(out io.Writer) {
	if onTerminal(out) {
		_, _ = io.WriteString(raw(out), "\x1b[H\x1b[2J") // an error shows at the next write
	}
}
