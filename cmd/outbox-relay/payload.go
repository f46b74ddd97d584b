package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// dumpedBytes is how much of a payload a hex dump shows.
const dumpedBytes = 512

// renderPayload writes a payload for people: indented JSON, text, or the beginning of a hex dump.
func renderPayload(payload []byte) string {
	var indented bytes.Buffer
	switch {
	case len(payload) == 0:
		return "(empty)\n"
	case utf8.Valid(payload) && json.Indent(&indented, payload, "", "  ") == nil:
		return escape(indented.String(), "\n") + "\n" // in JSON, the value is the same
	case isText(payload):
		return strings.TrimSuffix(string(payload), "\n") + "\n"
	}
	text := hex.Dump(payload[:min(len(payload), dumpedBytes)])
	if more := len(payload) - dumpedBytes; more > 0 {
		text += fmt.Sprintf("and %s more; --payload writes them all\n", count(int64(more), "byte"))
	}
	return text
}

// isText reports whether a terminal shows bytes as they are.
func isText(payload []byte) bool {
	return utf8.Valid(payload) && !bytes.ContainsFunc(payload, func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n' && r != '\t'
	})
}

// renderHeaders writes headers, a line each. What is no object of strings, which may be why the event is dead, is written as it is.
func renderHeaders(raw json.RawMessage) string {
	var headers map[string]string
	switch {
	case raw == nil:
		return "(none)\n"
	case json.Unmarshal(raw, &headers) != nil:
		return printable(string(raw)) + "\n"
	case len(headers) == 0:
		return "(none)\n"
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lines.WriteString(printable(name) + ": " + printable(headers[name]) + "\n")
	}
	return lines.String()
}

// indent moves lines to the right.
func indent(lines string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n  ") + "\n"
}
