// Package jetstream publishes events to a NATS JetStream stream.
//
// # Two ways to send
//
// The server is asked, at each connection, whether the stream takes batches (nats-server 2.14 or newer, allow_batched).
//
// If it does, a Publish is one batch of the server's fast ingest protocol: every event carries in
// its reply subject the batch, its place in it and what it means, and the server stores the events
// in their order and stops at the first that is missing.
//
//	<inbox>.<batch>.<flow>.fail.<place>.<operation>.$FI
//
//	operation  0 starts a batch, 1 goes on, 2 is the last event; 3 and 4, without an event, are never sent: subscribers would see them
//	flow       after how many events the server shall acknowledge
//	fail       the batch ends at the first gap
//
// The server answers {"type":"ack","seq":n}: all places up to n are stored; {"type":"gap"}: a place
// is missing, the batch ends; {"type":"err","seq":n}: place n is refused, the batch ends; and last,
// once everything that it accepted is stored, an acknowledgement with the number of events that
// are. Whatever goes wrong, what is stored is therefore the beginning of the batch, also when the
// stream gets a new leader. Nothing waits for the first answer. The client library of this protocol
// is not used because it loses some of the server's errors.
//
// The answers inside a batch do not name their stream. Where another stream answers too, over a
// leaf node or an import of the account, events are sent singly, and only the answer of the stream
// that was asked counts: see others.go.
//
// Older servers get each event singly, with at most one unacknowledged event of a key, because they
// may lose events from the middle of what is sent without waiting. Events of different keys, and
// events without one, do not wait for each other. A Publish of one event is sent singly in both
// ways.
//
// # What can go wrong
//
// classify.go says what each answer of the server means. An event's own fault is its own outcome,
// and the call goes on with the others: too large, a bad subject, a header that cannot be carried
// are found before anything is sent. A subject that the stream does not capture, that the NATS user
// may not publish, or that the account takes elsewhere delays its event and what follows in its
// key, and nothing else.
//
// A server that cannot write to its disk leaves events without an answer. Where the stream does not
// grow either, the error says so ([relay.StalledError]). A subject that a subscriber has, who never
// answers, looks the same; a probe tells them apart, see lost.go: the event once more, with the
// header Nats-Expected-Stream. Who subscribes to such a subject without JetStream can see it.
//
// Anybody who sees an event may answer it, see strange.go and docs/SECURITY.md. What a server may send is bounded, see
// bounds.go.
//
// A stream skips an event whose id it knows, and says so only of events that are sent singly. So a
// batch counts where the stream has grown by as many events as the batch had; otherwise its events
// are sent once more, singly, and the relay compares what the stream has with what it was given,
// for which it needs to read the stream, see Permissions. While others write to the stream too,
// which hides what is skipped, no batches are sent, see [batch.proven]. A stream that one relay
// alone writes to is faster.
//
// The outcomes of a call are never guessed: an event counts as stored when the server said so in
// words that cannot mean anything else, see [batch.proven]. After a batch whose end is not known,
// the next events are sent singly, for then each answer tells a stored event from one that an
// earlier attempt has still in flight: by an error, or on a server of 2.10 by a duplicate at
// sequence 0. What a replicated stream holds is believed of its leader alone.
//
// The client connects again by itself and keeps nothing to send later. A connection that the server
// closed for good is replaced. At each connection the stream is looked at, created if it is
// missing, and otherwise compared with the configuration: differences are logged with the command
// that would remove them, and nothing is altered.
//
// # Permissions
//
// The NATS user needs to publish to the events' subjects and to $JS.API.STREAM.INFO.<stream>, to
// subscribe to _INBOX.> (or what mq.inbox_prefix says), and, where the stream is to be created, to
// publish to $JS.API.STREAM.CREATE.<stream> and $JS.API.STREAM.NAMES. To read the stream back it
// needs to publish to $JS.API.CONSUMER.CREATE.<stream>.>, $JS.API.CONSUMER.MSG.NEXT.<stream>.> and
// $JS.API.CONSUMER.DELETE.<stream>.>, or to $JS.API.STREAM.MSG.GET.<stream>, which is slower. With
// mq.domain these begin with $JS.<domain>.API, with mq.api_prefix with that prefix. Where one is
// missing, the error names it.
package jetstream
