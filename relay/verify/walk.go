package verify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gameoutbox/relay/relay"
)

// window is a receipt whose part of the stream is being read.
type window struct {
	receipt     int64
	first, last uint64
	rows        []*row // by id
}

// walk goes through the stream and the receipts side by side, see the package documentation.
type walk struct {
	store    store
	start    relay.StreamState // when the walk began
	kept     uint64            // from there on the stream had removed nothing by itself
	receipts []receipt         // those still to come, in the order of the stream
	open     []window
	rows     map[identity]*row // of the open windows
	order    order
	strays   *strayFinder
	tail     bool // what is read now was published after the walk began
	report   *Report
	found    func(Finding)
	unfound  []unfound
}

// unfound are the selected rows of a receipt that were not seen in its part of the stream.
type unfound struct {
	receipt int64
	ids     []span
}

// take compares the next message of the stream.
func (w *walk) take(ctx context.Context, event relay.StoredEvent) error {
	if err := w.advance(ctx, event.Sequence); err != nil {
		return err
	}
	if row := w.rows[identity{id: event.ID, eventID: event.EventID}]; row != nil {
		w.match(row, event)
		return nil
	}
	if w.tail {
		return nil // settled since the receipts were listed, or of one that was not read
	}
	return w.strays.add(ctx, event, w.order.behind(event.Key, event.ID))
}

// match compares a message with its row.
func (w *walk) match(row *row, event relay.StoredEvent) {
	switch {
	case !row.selected:
		return
	case row.found != 0 && row.doubled:
		return
	case row.found != 0:
		row.doubled = true
		w.found(row.finding(Duplicated, "", row.found, event.Sequence))
		return
	}
	row.found = event.Sequence
	w.report.Events++
	if diff := row.content.differences(contentOf(event)); diff != "" {
		w.found(row.finding(Altered, diff, event.Sequence))
	}
	if later := w.order.behind(row.content.key, row.id); later != 0 {
		w.found(row.finding(OutOfOrder, behindText(later), event.Sequence))
	}
	w.order.pass(row.content.key, row.id)
}

func behindText(later int64) string { return fmt.Sprintf("behind id %d of its key", later) }

// finding returns a finding in the words of the row: what the stream holds may be anything.
func (r *row) finding(kind Kind, detail string, sequences ...uint64) Finding {
	return Finding{
		Kind: kind, ID: r.id, EventID: r.eventID, Subject: r.content.subject, Key: r.content.key, Sequences: sequences, Detail: detail,
	}
}

// advance opens the receipts that begin up to a sequence, and closes those that end before it.
func (w *walk) advance(ctx context.Context, sequence uint64) error {
	w.close(sequence)
	for len(w.receipts) > 0 && w.receipts[0].first <= sequence {
		next := w.receipts[0]
		w.receipts = w.receipts[1:]
		if err := w.read(ctx, next); err != nil {
			return err
		}
		w.close(sequence)
	}
	return nil
}

// read opens a receipt. Of one whose part of the stream has expired nothing is worth reading but how much it covers.
func (w *walk) read(ctx context.Context, next receipt) error {
	if next.last != 0 && next.last < w.start.First && explains(w.start, w.kept, next.last, next.settled) {
		events, err := w.store.count(ctx, next.id)
		w.report.Events, w.report.Expired = w.report.Events+events, w.report.Expired+events
		return err
	}
	opened, err := w.store.read(ctx, next.id)
	if err != nil {
		return fmt.Errorf("read the rows of receipt %d: %w", next.id, err)
	}
	for _, row := range opened.rows {
		if _, twice := w.rows[row.identity]; !twice {
			w.rows[row.identity] = row
		}
	}
	w.open = append(w.open, opened)
	return nil
}

// close forgets the receipts that end before a sequence, and notes which of their rows were not seen.
func (w *walk) close(sequence uint64) {
	w.open = slices.DeleteFunc(w.open, func(ended window) bool {
		if ended.last >= sequence {
			return false
		}
		w.note(ended)
		return true
	})
}

func (w *walk) note(ended window) {
	var missed []span
	for _, row := range ended.rows {
		if w.rows[row.identity] != row {
			continue // another receipt covers it too, which is the one that counts
		}
		delete(w.rows, row.identity)
		if row.selected && row.found == 0 {
			missed = appendID(missed, row.id)
		}
	}
	if len(missed) > 0 {
		w.unfound = append(w.unfound, unfound{receipt: ended.receipt, ids: missed})
	}
}

// end returns where the last open receipt ends.
func (w *walk) end() (last uint64) {
	for _, each := range w.open {
		last = max(last, each.last)
	}
	return last
}

// finish closes everything.
func (w *walk) finish(ctx context.Context) error {
	if err := w.advance(ctx, math.MaxUint64); err != nil {
		return err
	}
	w.close(math.MaxUint64)
	return w.strays.flush(ctx)
}
