package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// onTerminal reports whether a stream of the process is a terminal, at which a person sits.
func onTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// confirm asks a question that only yes answers with yes. The end of the input is a no.
func confirm(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // what came before an error is the answer
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// progressLine returns a function that rewrites one line on a terminal, and writes nothing anywhere else; format takes what it is
// called with.
func progressLine(out io.Writer, format string, total int64) (show func(done int), clear func()) {
	if !onTerminal(out) {
		return func(int) {}, func() {}
	}
	return func(done int) { fmt.Fprintf(out, "\r\x1b[K"+format, done, total) }, func() { fmt.Fprint(out, "\r\x1b[K") }
}
