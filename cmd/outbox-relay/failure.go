package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The exit codes of every command.
const (
	codeOK      = 0
	codeFailure = 1
	codeUsage   = 2
)

// failure is an error as a person reads it: what failed, why, with which value, and what to do next. Only what is required.
type failure struct {
	what  string // what failed, such as "cannot reach Postgres"
	cause error
	value string // the setting that it is about, with its value and origin, without secrets
	next  string // the next step
	code  int    // the exit code; 0 means codeFailure

	passes bool // the cause may pass without anybody doing anything, so that trying again makes sense
}

// Error returns what failed and why in one line, for the log.
func (f *failure) Error() string {
	if f.cause == nil {
		return f.what
	}
	return f.what + ": " + f.cause.Error()
}

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.cause }

// both returns two failures as one; either may be nil. The exit code is that of the first.
func both(a, b error) error {
	first, second := (*failure)(nil), (*failure)(nil)
	if !errors.As(a, &first) || !errors.As(b, &second) {
		return errors.Join(a, b)
	}
	return &failure{
		what: first.what + "; " + second.what, cause: errors.Join(first.cause, second.cause),
		value: cmp.Or(first.value, second.value), next: first.next + "\n" + second.next, code: first.code,
	}
}

// report prints an error and returns the exit code for it.
func report(w io.Writer, err error) int {
	f := (*failure)(nil)
	if !errors.As(err, &f) {
		f = &failure{what: err.Error()}
	}
	fmt.Fprintf(w, "outbox-relay: %s\n", indented(f.what, 2))
	if f.cause != nil {
		line(w, "cause", f.cause.Error())
	}
	line(w, "value", f.value)
	line(w, "next", f.next)
	if f.code == codeOK {
		return codeFailure
	}
	return f.code
}

// line prints one labelled part of an error; further lines of its text stand below the first.
func line(w io.Writer, label, text string) {
	if text != "" {
		fmt.Fprintf(w, "  %-6s %s\n", label+":", indented(text, 9))
	}
}

// indented returns text for a terminal. Its further lines are indented, so that none of them can
// pass for a line of ours.
func indented(text string, width int) string {
	return strings.ReplaceAll(escape(strings.TrimSpace(text), "\n"), "\n", "\n"+strings.Repeat(" ", width))
}
