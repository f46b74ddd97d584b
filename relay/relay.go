package relay

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Options are the parts that a relay works with. Pool and Publisher are required.
type Options struct {
	// Pool reaches the outbox's database; see [NewPool]. The relay uses up to [MinConns] of its connections, and one while it stands by.
	Pool *pgxpool.Pool
	// Publisher is the broker. The relay calls Publish from one goroutine, and never Close.
	Publisher Publisher
	// Logger takes what an operator should know; nil means silence. The relay never waits for it: while it blocks, lines are dropped and
	// counted.
	Logger *zap.Logger
	// Registerer takes the relay's metrics; nil means that nobody sees them.
	Registerer prometheus.Registerer
	// SchemaVersion is the newest version of the schema that this program knows, see [Check].
	SchemaVersion int64
	// Rehome names brokers whose events the publisher gets as well, although it does not stand for
	// them: a fallback that is not configured any more. The fallback of a [Switcher] needs no
	// mention.
	Rehome []string
	// PurgeForeign lets events go after the retention whichever broker has acknowledged them.
	// Otherwise those of a broker that the publisher does not stand for are kept, for no other may
	// have them.
	PurgeForeign bool
	// AnswerTimeout is how long the publisher waits for its broker at most, for a connection and then for an answer; 0 means 10 s. A Publish
	// that takes ten times as long, and the time that a batch needs at 64 KiB a second, has stopped: the relay gives its lease up.
	AnswerTimeout time.Duration
	// Share shares the sources of a process out, if it has several; nil means that this relay keeps what it leads.
	Share *Share
}

// Relay publishes the events of one outbox. Create it with [New].
type Relay struct {
	cfg       Config
	pool      *pgxpool.Pool
	publisher Publisher
	switcher  Switcher // the publisher, if it stands for two; nil if not
	// placeholder is the publisher, if it stands for no broker; nil if not.
	placeholder Placeholder
	tenancy     *tenancy
	share       *Share    // nil for none
	rehomeToo   []string  // see Options.Rehome
	purgeAll    bool      // see Options.PurgeForeign
	active      Publisher // the broker of this session; see chooseBroker
	db          *database // of this session, for what is done beside the reading
	byHand      byHand    // of this session
	table       int64     // the generation of the table in this session
	absent      bool      // receipts name events that are not in the table
	distrusts   bool      // the ids of receipts may have been drawn again, so all are compared with the rows
	track       *tracker
	metrics     *metrics
	version     int64
	clock       clock
	low         atomic.Int64  // the least id that may be unsettled
	behind      atomic.Bool   // whether the last read was as large as it may be
	landed      atomic.Bool   // no batch is on its way
	loops       *loops        // of this session
	limit       time.Duration // of one Publish
	parked      atomic.Pointer[parkedIDs]
	held        atomic.Pointer[heldKeys]
	aside       atomic.Pointer[aside]
}

// New returns a relay that is ready to [Relay.Run]. It reports every problem of cfg, joined, and connects to nothing.
func New(cfg Config, opts Options) (*Relay, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Pool == nil || opts.Publisher == nil {
		return nil, errors.New("a relay needs a pool and a publisher")
	}
	log := opts.Logger
	if log == nil {
		log = zap.NewNop()
	}
	if holder, ok := opts.Publisher.(KeyHolder); ok && cfg.AfterDeadLetter == HoldKey {
		holder.HoldKeys()
	}
	m := newMetrics(opts.Registerer, opts.Publisher.Name())
	switcher, _ := opts.Publisher.(Switcher)
	placeholder, _ := opts.Publisher.(Placeholder)
	owner := newOwner()
	track := newTracker(log, m, owner, opts.Publisher.Name())
	m.show(known{track})
	return &Relay{
		cfg: cfg, pool: opts.Pool, publisher: opts.Publisher, switcher: switcher, placeholder: placeholder, metrics: m, track: track,
		limit:   publishLimit(cfg, opts.AnswerTimeout),
		tenancy: &tenancy{owner: owner, ttl: cfg.Lease, pool: opts.Pool, track: track}, version: opts.SchemaVersion, share: opts.Share,
		rehomeToo: opts.Rehome, purgeAll: opts.PurgeForeign,
	}, nil
}

// Status returns what the relay is doing now. It may be called at any time, and asks no server.
func (r *Relay) Status() Status {
	s := r.track.snapshot()
	if r.switcher != nil {
		failover := r.switcher.Failover()
		s.Failover = &failover
	}
	if warner, ok := r.publisher.(Warner); ok {
		s.Warnings = append(slices.Clone(s.Warnings), warner.Warnings()...)
	}
	return s
}

// Run publishes events until ctx ends, and then stops cleanly: it reads no more, waits for the batch in flight, settles what
// was acknowledged, and returns nil, all within cfg.ShutdownTimeout. Servers that go away never end it: it
// keeps trying. Run is called once.
func (r *Relay) Run(ctx context.Context) error {
	deadlines, release := newDeadlines(ctx, r.cfg.ShutdownTimeout)
	defer release()
	defer r.track.lines.flush(flushTimeout)
	retry := r.cfg.newBackoff(brokerPauseMax)
	work := r.lead
	if r.placeholder != nil {
		work = r.watch
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := contained(func() error { return work(ctx, deadlines) })
		r.track.loopsEnded()
		fault, panicked := errors.AsType[*panicError](err)
		if panicked {
			r.track.panicked(fault)
		}
		if ctx.Err() != nil {
			break
		}
		r.track.enter(StateConnecting)
		if errors.Is(err, errGiven) {
			continue
		}
		if errors.Is(err, errAgain) || errors.Is(err, ErrLeaseLost) || errors.Is(err, errStalled) {
			r.track.readsAgain(err)
			pause(ctx, r.cfg.BackoffMin)
			continue
		}
		if !panicked {
			r.track.databaseFailed(leading, err)
		}
		if time.Since(began) > time.Minute {
			retry.Reset()
		}
		pause(ctx, retry.NextBackOff())
	}
	r.track.enter(StateStopping)
	return nil
}

// flushTimeout bounds the wait for a logger that blocks, at the end of Run.
const flushTimeout = 100 * time.Millisecond

// leading names the work that one database session does, in logs.
const leading = "hold a database session"

// deadlines are the contexts of work that outlives the stop of the relay.
type deadlines struct {
	publish context.Context // ends halfway through the shutdown timeout
	settle  context.Context // ends shortly before it is over
}

// newDeadlines starts the clock of the shutdown timeout when ctx ends.
func newDeadlines(ctx context.Context, timeout time.Duration) (deadlines, func()) {
	detached := context.WithoutCancel(ctx)
	publish, stopPublish := context.WithCancel(detached)
	settle, stopSettle := context.WithCancel(detached)
	unhook := context.AfterFunc(ctx, func() {
		halfway := time.AfterFunc(timeout/2, stopPublish)
		nearEnd := time.AfterFunc(timeout*9/10, stopSettle)
		<-settle.Done()
		halfway.Stop()
		nearEnd.Stop()
	})
	return deadlines{publish: publish, settle: settle}, func() {
		unhook()
		stopPublish()
		stopSettle()
	}
}
