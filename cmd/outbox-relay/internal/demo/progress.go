package demo

import (
	"context"
	"sync"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/display"
	"github.com/gameoutbox/relay/relay"
)

// backlogTimeout bounds a look at the backlog for the screen.
const backlogTimeout = 2 * time.Second

// progress is how far the demo has come.
type progress struct {
	mu      sync.Mutex
	began   time.Time
	phase   string
	backlog int64
	peak    int64 // the largest backlog since it was last reset
}

func (p *progress) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.phase = now, "playing"
}

// enter starts another phase.
func (p *progress) enter(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
}

// live keeps the screen up to date in the background, until the function that it returns is called.
func (d *demo) live() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(d.screen.display.Interval())
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.measure(ctx)
				d.screen.show(d.view())
			}
		}
	}()
	return func() { cancel(); <-done }
}

// measure asks the database for the backlog and returns it; without an answer it returns the last one.
func (d *demo) measure(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	b, err := relay.ReadBacklog(ctx, d.engine.pool)
	d.progress.mu.Lock()
	defer d.progress.mu.Unlock()
	if err == nil {
		d.progress.backlog = b.Events
		d.progress.peak = max(d.progress.peak, b.Events)
	}
	return d.progress.backlog
}

// resetPeak starts a new search for the largest backlog, and returns the backlog.
func (d *demo) resetPeak(ctx context.Context) int64 {
	backlog := d.measure(ctx)
	d.progress.mu.Lock()
	defer d.progress.mu.Unlock()
	d.progress.peak = backlog
	return backlog
}

// largest returns the largest backlog since resetPeak.
func (p *progress) largest() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

// view is what the screen shows now.
func (d *demo) view() display.View {
	d.progress.mu.Lock()
	defer d.progress.mu.Unlock()
	return display.View{
		Phase: d.progress.phase, Elapsed: time.Since(d.progress.began), Duration: d.Duration, Rate: d.Rate,
		Account: d.books.Snapshot(), Published: d.engine.Status().Published, Backlog: d.progress.backlog, Failed: d.game.Failed(),
	}
}
