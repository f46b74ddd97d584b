package redisstream

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gameoutbox/relay/relay"
)

// Inspect implements [relay.Ledger]. See the package documentation for what the incarnation is.
func (p *Publisher) Inspect(ctx context.Context) (relay.StreamState, error) {
	s, err := p.ready(ctx, true)
	if err != nil {
		return relay.StreamState{}, err
	}
	defer context.AfterFunc(ctx, s.reader.dialer.interrupt)()
	state, err := s.inspect(ctx)
	if over := ended(ctx); over != nil && err != nil {
		err = over
	}
	return state, err
}

// Accept implements [relay.Ledger].
func (p *Publisher) Accept(state relay.StreamState) { p.baseline.accept(state) }

func (s *session) inspect(ctx context.Context) (relay.StreamState, error) {
	primary, err := s.reader.primary(ctx)
	if err != nil {
		return relay.StreamState{}, s.explain(ctx, err)
	}
	words, err := redis.NewScript(stateLua).Run(ctx, primary, []string{s.cfg.Stream}).StringSlice()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return relay.StreamState{}, s.explain(ctx, s.removed())
	}
	if err != nil {
		return relay.StreamState{}, s.explain(ctx, err)
	}
	state, err := s.cfg.stateOf(words)
	if err == nil && state.Incarnation == "" {
		err = s.removed()
	}
	if err != nil {
		return relay.StreamState{}, s.explain(ctx, err)
	}
	return state, nil
}

// removed says that the stream that was there a moment ago is not. The next look makes it anew.
func (s *session) removed() error {
	return fmt.Errorf("%w: the stream %q was deleted or replaced while it was looked at", relay.ErrUnavailable, s.cfg.Stream)
}

// stateOf reads the answer of lua/state.lua.
func (c Config) stateOf(words []string) (relay.StreamState, error) {
	const answers = 5
	if len(words) != answers {
		return relay.StreamState{}, fmt.Errorf("%w: %q", errReply, words)
	}
	mark, lastID, firstID, length, added := words[0], words[1], words[2], words[3], words[4]
	last, ok := parseSequence(lastID)
	if !ok {
		return relay.StreamState{}, fmt.Errorf("%w: %q", errReply, words)
	}
	if last > math.MaxInt64 {
		return relay.StreamState{}, fmt.Errorf("%w: the last id of the stream %q is %s, of the far future: set redis.stream to another key",
			relay.ErrMisconfigured, c.Stream, lastID)
	}
	state := relay.StreamState{
		Stream: c.Stream, Incarnation: mark, First: 1, Last: last,
		Expires: c.expires(), KeepsUntil: math.MaxInt64, Room: math.MaxInt64, MaxAge: c.MaxAge, DuplicateWindow: c.DedupWindow,
	}
	if added != length {
		state.First = firstOf(firstID, last)
		if state.Expires == "" {
			state.Expires = removedBySomebody(added)
		}
	}
	if state.Expires != "" {
		state.KeepsUntil = 0 // Redis does not tell what trimming and what XDEL has removed
	}
	if entries, err := strconv.ParseInt(length, 10, 64); err == nil && c.MaxLen > 0 {
		state.Room = uint64(max(0, c.MaxLen-entries))
	}
	return state, nil
}

// firstOf returns the first sequence of a stream from which entries were removed.
func firstOf(firstID string, last uint64) uint64 {
	if first, ok := parseSequence(firstID); ok {
		return first
	}
	return last + 1
}

// expires says which setting removes the first entries.
func (c Config) expires() string {
	switch {
	case c.MaxLen > 0:
		return fmt.Sprintf("redis.max_len is %d", c.MaxLen)
	case c.MaxAge > 0:
		return fmt.Sprintf("redis.max_age is %s", c.MaxAge)
	}
	return ""
}

// removedBySomebody says why entries are missing that no setting removes. Redis keeps no record of who has done it: consumers
// that remove what they have worked off look the same as a person who trims.
func removedBySomebody(added string) string {
	if added == "" {
		return "the server does not tell whether entries were removed (Redis before 7.0)"
	}
	return "entries were removed with XDEL or XTRIM, by consumers or by hand"
}

// Scan implements [relay.Ledger]. It reads pages of up to 512 entries, which end after 1 MiB, through
// connections of its own, so that a Publish does not wait for it. The server leaves out what is not
// asked for.
func (p *Publisher) Scan(ctx context.Context, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if scan.First > scan.Last {
		return nil
	}
	s, err := p.ready(ctx, false)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, s.reader.dialer.interrupt)()
	from, to := bounds(scan)
	for from != "" {
		var events []relay.StoredEvent
		if events, from, err = s.page(ctx, from, to, scan.Payloads); err != nil {
			if over := ended(ctx); over != nil {
				return over
			}
			return s.explain(ctx, err)
		}
		for _, event := range events {
			if err := found(event); err != nil {
				return err
			}
		}
	}
	return nil
}

// page reads events from an id on. next is where the following page begins; it is empty after the last one.
func (s *session) page(ctx context.Context, from, to string, payloads bool) (events []relay.StoredEvent, next string, err error) {
	primary, err := s.reader.primary(ctx)
	if err != nil {
		return nil, "", err
	}
	args := append([]any{from, to, payloads, partEvents, partBytes}, largest...)
	words, err := redis.NewScript(pageLua).Run(ctx, primary, []string{s.cfg.Stream}, args...).StringSlice()
	if err != nil {
		return nil, "", err
	}
	if len(words)%storedWords != 1 {
		return nil, "", fmt.Errorf("%w: a page of %d words", errReply, len(words))
	}
	next, words = words[0], words[1:]
	for ; len(words) > 0; words = words[storedWords:] {
		if event, ours := storedEvent(words, payloads); ours {
			events = append(events, event)
		}
	}
	return events, next, nil
}

// bounds returns the first and the last id of a scan. The time of an id is never before that at which its entry was added.
func bounds(scan relay.Scan) (from, to string) {
	first := scan.First
	if ms := scan.Since.UnixMilli(); !scan.Since.IsZero() && ms > 0 {
		first = max(first, uint64(ms)<<sequenceBits)
	}
	to = entryID(scan.Last)
	if scan.Last&lastNumber == lastNumber { // which stands for all that come after it in the millisecond
		to = strconv.FormatUint(scan.Last>>sequenceBits, 10)
	}
	return entryID(first), to
}
