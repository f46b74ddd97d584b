package redisstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// reply is what the script said of a part.
type reply struct {
	stored  []relay.Outcome // of the events from the first on, as far as it came
	failure string          // why it stopped; empty if it did not
}

// sequenceBits is how much of a sequence counts the entries of one millisecond.
const sequenceBits = 20

// lastNumber is the number of an entry in its millisecond, from which on numbers are cut off.
const lastNumber = 1<<sequenceBits - 1

var errReply = errors.New("the script gave an answer that nobody understands")

// parseReply reads the answer of the script to a part of so many events; see lua/append.lua.
func parseReply(text string, events int) (reply, error) {
	var r reply
	if events > 0 {
		r.stored = make([]relay.Outcome, 0, events)
	}
	var before uint64 // entries up to this one were there before
	for text != "" {
		if text[0] == '!' {
			r.failure = text[1:]
			return r, nil
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		mark := word[:min(1, len(word))]
		if mark == "<" || mark == "=" {
			word = word[1:]
		}
		sequence, ok := parseSequence(word)
		if !ok {
			return reply{}, fmt.Errorf("%w: %q", errReply, word)
		}
		if mark == "<" {
			before = sequence
			continue
		}
		r.stored = append(r.stored, relay.Outcome{Stored: true, Duplicate: mark == "=" || sequence <= before, Sequence: sequence})
		before = max(before, sequence)
	}
	return r, nil
}

// parseSequence makes one number of an entry's id, <milliseconds>-<number>: the milliseconds, shifted by 20 bits, and the
// number. Its order is that of the stream. Milliseconds after the year 2527 are cut off there, and the number of an entry at
// 1,048,575, which is more than a server can store in a millisecond.
func parseSequence(id string) (uint64, bool) {
	ms, number, found := strings.Cut(id, "-")
	if !found {
		return 0, false
	}
	m, err1 := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(number, 10, 64)
	return min(m, 1<<(64-sequenceBits)-1)<<sequenceBits | min(n, lastNumber), err1 == nil && err2 == nil
}
