package jetstream

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// deniedError says that the user has no permission. The server tells the connection, never the publisher of an event.
type deniedError struct {
	what    string // "publish", "subscribe" or "reply"
	subject string
}

func (e *deniedError) Error() string {
	switch e.what {
	case "reply":
		return fmt.Sprintf("the NATS user may not publish with the reply subject %s; grant it publish to %s",
			e.subject, e.subject)
	case "subscribe":
		return fmt.Sprintf("the NATS user may not subscribe to %s; grant it subscribe to that subject, or set mq.inbox_prefix",
			e.subject)
	}
	return fmt.Sprintf("the NATS user may not publish to %s; grant it publish to that subject", e.subject)
}

// Unwrap makes every lack of permission a matter of configuration.
func (e *deniedError) Unwrap() error { return relay.ErrMisconfigured }

// aboutAPI tells whether the permission is missing for what comes before the first event: the answers of the server and its
// JetStream API.
func (e *deniedError) aboutAPI(prefix string) bool {
	return e.what == "subscribe" || strings.HasPrefix(e.subject, "$JS.") || strings.HasPrefix(e.subject, prefix+".")
}

// The texts of nats-server, client.go: pubPermissionViolation, subPermissionViolation and replySubjectViolation.
var (
	deniedRE   = regexp.MustCompile(`Permissions Violation for (Publish with Reply of|Publish to|Subscription to) ("(?:[^"\\]|\\.)*")`)
	deniedVerb = map[string]string{"Publish to": "publish", "Subscription to": "subscribe", "Publish with Reply of": "reply"}
)

// parseDenied reads the error that the connection's handler got.
func parseDenied(err error) (*deniedError, bool) {
	match := deniedRE.FindStringSubmatch(err.Error())
	if match == nil {
		return nil, false
	}
	subject, unquoteErr := strconv.Unquote(match[2])
	return &deniedError{what: deniedVerb[match[1]], subject: subject}, unquoteErr == nil
}
