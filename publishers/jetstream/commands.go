package jetstream

import (
	"regexp"
	"strings"
)

// cli is what follows nats in a command that reaches the stream, see [Config.cli].
type cli string

// edit returns the command that changes a stream. It asks nothing, so it works without a terminal
// too.
func (c cli) edit(stream, flag string) string {
	return c.String() + " stream edit " + shell(stream) + " " + flag + " --force"
}

// String is how a command begins.
func (c cli) String() string { return "nats" + string(c) }

// subjectsFlag returns the flag that makes a stream capture subjects.
func subjectsFlag(subjects []string) string {
	return "--subjects=" + shell(strings.Join(subjects, ","))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_.,:/-]+$`)

// shell quotes a word of a command line where a shell would take it for something else.
func shell(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
