// Package redisstream publishes events to a Redis Stream: on one server, on the primary that
// Sentinels name, or in a Cluster.
//
// An event is one entry with the fields event_id, subject, key, headers (a JSON object), payload,
// created_at (RFC 3339 in UTC, six digits of a second) and seq (the row's id), in this order. It
// needs Redis 6.2 or newer, or a server that speaks as it does; it was tried on Redis 7.0, 8.0 and
// 8.6 and on Valkey 9.1.
//
// # How events are added
//
// A batch is cut into parts of up to 512 events or 1 MiB. Each part is one call of a script (folder
// lua) that adds its events in order and stops at the first that cannot be added, so other clients
// of the server wait for a few milliseconds at most. Up to 16 parts are sent without waiting for
// answers, a window. While the server works on it the next one is made, which follows when all of
// the first is stored:
//
//	relay    part 1, part 2, part 3 ...   (WAIT or WAITAOF)
//	Redis    opens gate 1 ->  gate 1 is open: adds, opens gate 2  ->  ...
//
// A part leaves a word behind when it was added as a whole, and a part is refused that does not
// find the word of the part before it. Without that gate a server that refuses for a moment, as for
// lack of memory, would add the second part without the first: the commands of a pipeline fail one
// by one. What is stored of a batch is therefore always its beginning.
//
// # How events are recognised
//
// The server is asked, at each look at it, whether it knows XCFGSET; the log of the connection says
// which mode it is. Behind a proxy that refuses COMMAND it is the mode script.
//
//	idmp    Redis 8.6 and newer. The stream itself knows the ids (XADD IDMP). The first two digits
//	        of an event's id are its producer, and XCFGSET gives each of these 256 producers room
//	        for 2,048 ids for redis.dedup_window: about 500,000 ids of some 130 bytes. The limits
//	        of a stream that exists are raised where they are lower, which makes it forget the ids
//	        that it knows, and never lowered.
//	script  Any other server. The script keeps the ids in two hashes beside the stream, in its
//	        slot. One is filled until it is as old as redis.dedup_window or holds 500,000 ids, and
//	        is kept as the older one for as long again. So an id is known for one to two windows.
//	        An id costs 80 to 125 bytes. A hash goes in the background (UNLINK); only where
//	        nothing is published for two windows does it expire, which blocks the server for about
//	        a third of a microsecond an id unless lazyfree-lazy-expire is on.
//
// In both modes the decision is one with the entry: the script does both or neither. The ids live
// and die with the stream: when somebody removes it, or sets it back with RESTORE, the script
// forgets them, and what was lost can be added again. Replicas and files have the ids as far as
// they have the entries. An id whose entry was removed from the stream, with XDEL or by trimming,
// stays known for the window: such an entry was delivered. An update of the server to 8.6 changes
// the mode, and so does a permission for COMMAND that is given or taken; the new mode does not know
// the ids of the old one.
//
// # How a loss is noticed
//
// Redis gives a stream no date of birth, and a stream that was deleted and made anew continues with
// ids of the clock, as if nothing had happened. So the script gives each stream a mark: a consumer
// group named outbox-relay:<random>, which nobody reads. It is part of the stream and goes wherever
// that goes: DEL, FLUSHDB, eviction and an empty disk take it away, a replica, an append-only file,
// a snapshot and DUMP keep it. The group stands behind all ids, so that it has no lag and XTRIM
// with ACKED does not wait for it. The mark is the incarnation in [relay.StreamState]. Should
// somebody destroy the group, the relay takes the stream for another one, looks through it for what
// it has published, and goes on; nothing is lost or doubled.
//
// Once the relay has accepted a state, each part asks first, inside the script, whether the stream
// has that mark and has reached the last id that it is known to have given. If not, nothing is
// added and Publish says so ([relay.ErrRewound]). That notices a key that was deleted, also where a
// consumer has made it anew meanwhile, a server that was started with older files, a replica that
// was promoted without the last events, and a key that RESTORE or RENAME set back. What it does not
// notice:
//
//   - A stream with this mark that lost its tail, and to which others than the relay have added
//     entries since: then its last id is as high as it was. A stream should belong to the
//     relays.
//   - Entries that were removed with XDEL or XTRIM, by a consumer or a person. Redis does not
//     tell them apart, so nothing is sent again.
//
// # How the stream is read back
//
// A script reads pages of up to 512 entries or about 1 MiB and leaves out payloads where they are
// not wanted. What has no event_id and seq, or a larger value than an event can have, is not the
// relay's. The first sequence of a stream is 1
// while nothing was ever removed from it (entries-added, Redis 7.0), and otherwise that of its
// first entry. A stream whose last id lies after the year 2248 is refused: sequences would not fit
// into Postgres.
//
// # What counts as stored
//
// The primary's answer, which a crash of the server or a failover may undo. redis.wait_replicas
// asks for replicas (WAIT), redis.wait_aof for the disk (WAITAOF), in the same pipeline and over
// the same connection as the events. Events that were added and are missing there in time do not
// count as stored; they are sent again, are duplicates then, and are waited for again.
//
// Sequence is the entry's id as one number: the milliseconds, shifted left by 20 bits, and the number within the
// millisecond, which is cut off at 1,048,575.
//
// redis.max_len and redis.max_age trim the stream (XTRIM ~, whole nodes of entries) after each
// part. Redis does not ask whether anybody has read what it removes: a consumer that is behind
// loses events for good. Both are off by default. Without them the stream grows until somebody
// trims it, or until maxmemory, where events wait in Postgres; maxmemory-policy must be noeviction
// then. An allkeys policy may evict the stream, a volatile one the ids of the mode script. Each
// look at the server asks for it (INFO, or else CONFIG GET); the log and the status warn of it, and
// of a time to live of the stream.
//
// # What can go wrong
//
// classify.go says what each answer of the server means. Whatever concerns the server as a whole
// ends the call; an answer that nobody knows concerns the event at which the script stopped, and
// the call goes on with the events of other keys. A value above proto-max-bulk-len, at which the
// server would hang up, is found before anything is sent.
//
// When a connection is lost, or no answer comes, the events may be stored or not. They are never
// sent again by the client library (its retries are off): the relay sends them again, with the same
// ids.
//
// Three clients share the work: one publishes, one looks whether the server takes events, by
// running the script without any, and one reads the stream back. The first look makes the stream.
// After a failure the publisher looks again in the background until the server is fit; the log
// tells of it once, and once of its end.
//
// # Permissions
//
// An ACL user needs, where the stream is not in a hash tag of its own:
//
//	ACL SETUSER relay on ><password> resetkeys ~<stream> ~{<stream>}:outbox:*
//		+hello +ping +command +info +config|get +select +script|load +evalsha +eval +xadd +xtrim
//		+xinfo|stream +xinfo|groups +xgroup|create +xpending +xrange
//		+exists +get +set +hset +hmget +hlen +pttl +pexpire +rename +unlink +time +wait +waitaof +client|setname +xcfgset
//
// and +cluster for a Cluster. A server without IDMP knows no xcfgset, older ones no waitaof.
// Without command the mode is script; without info the log names no version; without config|get the
// limit of a value is taken for the default. Without both it is not known whether the server
// evicts.
package redisstream
