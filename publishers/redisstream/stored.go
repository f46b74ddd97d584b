package redisstream

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// storedWords is how many words of a page are an event, see lua/page.lua.
const storedWords = 7

// largest is how many bytes each value of an event can have, as pairs for lua/page.lua: the rules of
// outbox.events. An escape in the JSON of headers makes at most six bytes of one.
var largest = []any{
	"event_id", len("00000000-0000-0000-0000-000000000000"), "subject", 255, "key", 255, "seq", len("9223372036854775807"),
	"headers", 6 * 32 << 10, "payload", 1 << 20,
}

// storedEvent reads an event as the encoder wrote it; ours is false for what others have stored.
func storedEvent(words []string, payloads bool) (event relay.StoredEvent, ours bool) {
	sequence, ok := parseSequence(words[0])
	eventID, err := outbox.ParseID(words[1])
	if !ok || err != nil {
		return event, false
	}
	id, err := strconv.ParseInt(words[4], 10, 64)
	if err != nil {
		return event, false
	}
	event = relay.StoredEvent{
		Sequence: sequence, ID: id, EventID: eventID, Subject: words[2], Key: words[3],
		StoredAt: time.UnixMilli(int64(sequence >> sequenceBits)), // of 44 bits
	}
	if !payloads {
		return event, true
	}
	event.Payload = []byte(words[6])
	if words[5] != "{}" {
		err = json.Unmarshal([]byte(words[5]), &event.Headers)
	}
	return event, err == nil
}
