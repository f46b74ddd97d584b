package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
)

// Options say what is compared. DB, Ledger and Broker are required.
type Options struct {
	// DB reaches the outbox, see [relay.NewPool]. Its role needs the rights of outbox.grant_relay, and for [Repair] those of
	// outbox.grant_operator.
	DB *pgxpool.Pool
	// Ledger reads the stream back, and Broker is the name of its publisher, as receipts have it.
	Ledger relay.Ledger
	Broker string
	// Selection narrows the events that are compared.
	Selection selection.Selection
	// Found gets every finding, as soon as it is certain; nil means that the counts are enough.
	Found func(Finding)
	// Progress gets how far the work is, often; nil means that nobody looks.
	Progress func(Progress)
}

// Progress is how far the work is.
type Progress struct {
	Doing       string // in the words of an operator
	Done, Total uint64
}

// ErrReplaced is returned by [Run] and [Repair] if the stream lost data, or was replaced by another, while it was read.
var ErrReplaced = errors.New("the stream was rewound or replaced while it was read; run this again")

// Run compares the retained events with the stream. It changes nothing. It returns an error only if it could not compare
// everything: one of the database, one as those of [relay.Ledger], or [ErrReplaced].
func Run(ctx context.Context, opts Options) (*Report, error) {
	if opts.Found == nil {
		opts.Found = func(Finding) {}
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	began := time.Now()
	r := &run{opts: opts, report: &Report{Broker: opts.Broker}}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	r.report.Took = time.Since(began)
	return r.report, nil
}

// run is one verification.
type run struct {
	opts   Options
	store  store
	walk   *walk
	state  relay.StreamState // the stream as it was seen last
	kept   uint64            // the stream has removed nothing by itself from this sequence on
	report *Report
}

func (r *run) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.begin, r.readStream, r.followTail, r.resolve} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) found(f Finding) {
	r.report.count(f.Kind)
	r.opts.Found(f)
}

// begin lists the receipts, and looks at the stream before and after: what the receipts of the list cover lies before its end.
func (r *run) begin(ctx context.Context) error {
	before, err := r.opts.Ledger.Inspect(ctx)
	if err != nil {
		return err
	}
	r.report.Stream = before.Stream
	r.store = store{
		db: r.opts.DB, sel: r.opts.Selection, broker: r.opts.Broker, stream: before.Stream, incarnation: before.Incarnation,
	}
	receipts, err := r.store.list(ctx)
	if err != nil {
		return fmt.Errorf("list the receipts: %w", err)
	}
	if r.report.Others, err = r.store.elsewhere(ctx); err != nil {
		return fmt.Errorf("count the events of other streams: %w", err)
	}
	for _, other := range r.report.Others {
		r.report.Elsewhere += other.Events
	}
	r.state = before
	if err := r.inspect(ctx); err != nil {
		return err
	}
	r.walk = &walk{
		store: r.store, start: r.state, kept: r.kept, receipts: receipts, rows: make(map[identity]*row), order: newOrder(),
		strays: newStrayFinder(r.store), report: r.report, found: r.found,
	}
	return nil
}

// inspect looks at the stream again, which must have gone on from what it was.
func (r *run) inspect(ctx context.Context) error {
	state, err := r.opts.Ledger.Inspect(ctx)
	if err != nil {
		return err
	}
	if !state.Continues(r.state) {
		return ErrReplaced
	}
	r.state = state
	if r.kept, err = relay.KeptFrom(ctx, r.opts.DB, r.opts.Broker, state); err != nil {
		return fmt.Errorf("read what is known of the stream's limits: %w", err)
	}
	return nil
}

// readStream compares the stream from the first receipt on to its end.
func (r *run) readStream(ctx context.Context) error {
	part := relay.Scan{First: max(r.walk.begins(), r.state.First, 1), Last: r.state.Last, Payloads: true}
	if r.walk.begins() == 0 || part.First > part.Last {
		return nil // no receipt is about this stream as it is now
	}
	r.report.First, r.report.Last = part.First, part.Last
	err := r.opts.Ledger.Scan(ctx, part, func(event relay.StoredEvent) error {
		r.opts.Progress(Progress{Doing: "reading the stream", Done: event.Sequence - part.First, Total: part.Last - part.First + 1})
		return r.walk.take(ctx, event)
	})
	if err != nil {
		return err
	}
	return r.walk.advance(ctx, part.Last)
}

// begins returns the sequence at which the first receipt begins; 0 if there is none.
func (w *walk) begins() uint64 {
	for _, each := range w.receipts {
		if each.first > 0 {
			return each.first
		}
	}
	return 0
}

// followTail reads on to where the receipts end that were extended since they were listed.
func (r *run) followTail(ctx context.Context) error {
	from, to := r.state.Last+1, r.walk.end()
	if err := r.inspect(ctx); err != nil {
		return err
	}
	r.walk.tail = true
	if to = min(to, r.state.Last); from <= to {
		r.report.Last = to
		part := relay.Scan{First: from, Last: to, Payloads: true}
		err := r.opts.Ledger.Scan(ctx, part, func(event relay.StoredEvent) error { return r.walk.take(ctx, event) })
		if err != nil {
			return err
		}
	}
	return r.walk.finish(ctx)
}
