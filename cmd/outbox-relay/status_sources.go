package main

import (
	"fmt"
	"strings"
)

// sources writes a line for each source, and then what is wrong with those that are in trouble.
func (t table) sources(seen overview) {
	fmt.Fprintln(t, "SOURCE\tRELAY\tREADY\tBACKLOG\tLAG\tDEAD LETTERS\tPUBLISHED\tBROKER\tLEADER\tTERM\tSINCE")
	for _, each := range seen.Sources {
		fmt.Fprintln(t, strings.Join(append([]string{each.Source}, each.cells()...), "\t"))
	}
	troubles := ""
	for _, each := range seen.Sources {
		for _, text := range each.troubles() {
			troubles += fmt.Sprintf("%s: %s\n", each.Source, printable(text))
		}
	}
	if seen.Relay.Error != "" {
		troubles = fmt.Sprintf("relay: %s\n", printable(noRelay(seen.Relay))) + troubles
	}
	if troubles != "" {
		fmt.Fprint(t, "\n"+troubles)
	}
}

// cells returns the cells of the line behind the name; what is not known is "-".
func (s sourceView) cells() []string {
	state, ready, published, broker := "-", "-", "-", "-"
	if r := s.Relay; r != nil {
		state, ready = string(r.State), "no"
		if r.Ready {
			ready = "yes"
		}
		published, broker = fmt.Sprint(r.Published), printable(fmt.Sprintf("%s %s", r.Broker.Name, r.Broker.State))
	}
	backlog, lag, dead := "-", "-", "-"
	if b := s.Backlog; b != nil {
		backlog, lag, dead = atMost(b.Exact)+fmt.Sprint(b.Events), seconds(b.Lag), fmt.Sprint(b.DeadLetters)
	}
	leader, term, led := "-", "-", "-"
	if l := s.Lease; l != nil && l.Held {
		leader, term, led = printable(l.Owner), fmt.Sprint(l.Term), moment(l.Since)
	}
	return []string{state, ready, backlog, lag, dead, published, broker, leader, term, led}
}

// troubles returns what a person should know, a sentence each.
func (s sourceView) troubles() (texts []string) {
	if s.Error != "" {
		texts = append(texts, s.Error)
	}
	r := s.Relay
	if r == nil {
		return texts
	}
	if !r.Ready {
		texts = append(texts, "not ready: "+r.NotReady)
	}
	if r.Failover != nil && r.Failover.OnFallback {
		texts = append(texts, standing(r.Failover))
	}
	if r.HeldKeys > 0 {
		texts = append(texts, held(r))
	}
	if r.Loss != nil {
		texts = append(texts, "last loss "+moment(r.Loss.At)+": "+loss(r.Loss))
	}
	return append(texts, r.Warnings...)
}
