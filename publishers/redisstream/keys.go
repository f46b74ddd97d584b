package redisstream

import "strings"

// The keys beside the stream. All of them are in its slot, so that one script may use them in a Cluster too.
//
//	{game:events}:outbox:ids     the ids of the youngest events, a hash of event id to entry id
//	{game:events}:outbox:older   those before them
//	{game:events}:outbox:gate:x  which part of publisher x was added last, for a minute
const (
	idsKey   = ":outbox:ids"
	olderKey = ":outbox:older"
	gateKey  = ":outbox:gate:"
)

// besides returns the key of this suffix in the slot of the stream.
func besides(stream, suffix string) string {
	if tag := hashTag(stream); tag != "" {
		return "{" + tag + "}:" + stream + suffix
	}
	return "{" + stream + "}" + suffix
}

// hashTag returns the part of a key that decides its slot, where that is not the whole key: what stands between the first {
// and the next }, unless it is empty.
func hashTag(key string) string {
	_, rest, found := strings.Cut(key, "{")
	if !found {
		return ""
	}
	tag, _, found := strings.Cut(rest, "}")
	if !found {
		return ""
	}
	return tag
}

// hasTag tells whether other keys can be put into the slot of the stream: a } outside of a hash tag cannot be part of one.
func hasTag(stream string) bool {
	return hashTag(stream) != "" || !strings.Contains(stream, "}")
}
