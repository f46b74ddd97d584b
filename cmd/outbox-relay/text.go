package main

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable returns text as a terminal may show it: what could move the cursor or hide something is written as an escape.
func printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// shorten returns text in one printable line of at most limit characters.
func shorten(text string, limit int) string {
	line := []rune(printable(strings.Join(strings.Fields(text), " ")))
	if len(line) <= limit {
		return string(line)
	}
	return string(line[:limit-1]) + "…"
}

// moment writes a time of the database, to the second.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
