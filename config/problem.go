package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with a configuration. It never holds a secret.
type Problem struct {
	// Where is the place to correct: file:line, the name of a variable, or a flag. Empty where nothing was set.
	Where string
	// Key is the setting, such as mq.nats_url. Empty where the problem is of the file as a whole.
	Key string
	// Text says what is wrong and what is allowed.
	Text string
}

// String returns the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Where != "" {
		b.WriteString(p.Where + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	return b.String() + p.Text
}

// Error is every problem of a configuration: those of the file by line, then those of the environment, then those of the flags, then those of
// defaults and of what is missing.
type Error struct{ Problems []Problem }

// Error returns a line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sortProblems puts problems in the order that [Error] promises; file is the file that was read.
func sortProblems(problems []Problem, file string) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(rank(a.Where, file), rank(b.Where, file)),
			cmp.Compare(lineOf(a.Where), lineOf(b.Where)),
			cmp.Compare(a.Where, b.Where))
	})
}

// rank orders the places of problems: file, environment, flags, nowhere.
func rank(where, file string) int {
	switch {
	case where == "" || where == fromDefault:
		return 3
	case strings.HasPrefix(where, "--"):
		return 2
	case file != "" && strings.HasPrefix(where, file):
		return 0
	}
	return 1
}

// lineOf returns the line in "file:line", or 0 where there is none.
func lineOf(where string) int {
	place, _, _ := strings.Cut(where, ", ")
	line, _ := strconv.Atoi(place[strings.LastIndexByte(place, ':')+1:])
	return line
}

// problemOf words the problem of a value that cannot be used.
func problemOf(where, key, shown, allowed string) Problem {
	return Problem{Where: where, Key: key, Text: "is " + shown + "; allowed: " + allowed}
}

// quote shows a value so that its end, its spaces and its control characters are seen, and not more of it than fits a line.
func quote(value string) string {
	const most = 100
	if len(value) > most {
		value = value[:most] + "..."
	}
	plain := func(r rune) bool { return r > ' ' && r < unicode.MaxASCII && r != '"' }
	if value != "" && strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return strconv.Quote(value)
}

// quotePath is quote for the path of a secret's file.
func quotePath(path string) string { return quote(concealPath(path)) }
