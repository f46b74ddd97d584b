package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable returns text in one line as a terminal may show it. Whatever could move the cursor,
// begin a sequence, turn the direction of writing or hide something is written as \u and its code,
// a byte that is no text as \x. Everything that was not written by this program goes through it:
// what comes from a row, a server or a file.
func printable(text string) string { return escape(text, "") }

// escape is printable for text in which some control characters may stay.
func escape(text, stay string) string {
	safe := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(stay, r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !safe(r) }) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case safe(r):
			b.WriteRune(r)
		default:
			writeEscaped(&b, r)
		}
		text = text[size:]
	}
	return b.String()
}

// writeEscaped writes a character as JSON's own escape: in a string of JSON the value stays the
// same.
func writeEscaped(b *strings.Builder, r rune) {
	if r > 0xffff {
		fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		return
	}
	fmt.Fprintf(b, `\u%04x`, r)
}

// safeWriter escapes what is written, but for newlines and tabs. Every command writes through one,
// so that no text which was forgotten reaches a terminal as it is, and JSON stays JSON. [raw] is
// the way around it.
type safeWriter struct{ to io.Writer }

// Write implements [io.Writer]. It takes whole characters: no caller writes a part of one.
func (w safeWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, escape(string(text), "\n\t")); err != nil {
		return 0, err
	}
	return len(text), nil
}

// raw returns the writer behind a [safeWriter], for the bytes of a payload and for our own control
// sequences.
func raw(w io.Writer) io.Writer {
	if safe, ok := w.(safeWriter); ok {
		return safe.to
	}
	return w
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
