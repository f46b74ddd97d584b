package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/deadletter"
	"github.com/gameoutbox/relay/relay/selection"
)

// deadSelection are the flags that say which dead letters are meant.
type deadSelection struct {
	subject, key string
	reasons      []string
	since, until momentFlag
	all          bool
}

// addTo adds the flags of a selection to a command. A command that changes something has --all too.
func (f *deadSelection) addTo(cmd *cobra.Command, changes bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.subject, "subject", "", "`pattern` of subjects: * stands for one token, > at the end for one or more")
	flags.StringVar(&f.key, "key", "", "ordering `key`")
	flags.StringSliceVar(&f.reasons, "reason", nil, "`reason`, or several with commas: "+deadletter.AllReasons())
	flags.Var(&f.since, "since", "failed last at this `time` or later: RFC 3339, or how long ago, such as 2h")
	flags.Var(&f.until, "until", "failed last before this `time`")
	if changes {
		flags.BoolVar(&f.all, "all", false, "every dead letter there is")
	}
}

// selection returns which dead letters the arguments and flags mean.
func (f *deadSelection) selection(cmd *cobra.Command, args []string) (deadletter.Selection, error) {
	for _, name := range []string{"subject", "key", "reason", "since", "until"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]") {
			return deadletter.Selection{}, fmt.Errorf("--%s is empty; leave it out to mean any", name)
		}
	}
	sel := deadletter.Selection{
		Selection: selection.Selection{Subject: f.subject, Key: f.key, Since: f.since.Time, Until: f.until.Time},
		Reasons:   f.reasons,
	}
	for _, arg := range args {
		if err := name(&sel, arg); err != nil {
			return sel, err
		}
	}
	return sel, sel.Validate()
}

// toChange is selection for a command that changes something: that every dead letter is meant has to be said.
func (f *deadSelection) toChange(cmd *cobra.Command, args []string) (deadletter.Selection, error) {
	sel, err := f.selection(cmd, args)
	switch {
	case err != nil:
		return sel, err
	case sel.Empty() && !f.all:
		return sel, errors.New("which dead letters is not said: name ids, use --subject, --key, --reason, --since or --until, or give --all")
	case !sel.Empty() && f.all:
		return sel, errors.New("--all is given together with a selection; leave one of them out")
	}
	return sel, nil
}

// name adds one dead letter, by the id of its row or by its event id.
func name(sel *deadletter.Selection, text string) error {
	if id, err := strconv.ParseInt(text, 10, 64); err == nil {
		sel.IDs = append(sel.IDs, id)
		return nil
	}
	id, err := outbox.ParseID(text)
	if err != nil {
		return fmt.Errorf("%q is neither the id of a row, such as 42, nor an event id, such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8", text)
	}
	sel.EventIDs = append(sel.EventIDs, id)
	return nil
}
