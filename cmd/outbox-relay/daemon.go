package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay"
)

// closeTimeout bounds the closing of each part. The admin server, a publisher and a pool fit into stopMargin.
const closeTimeout = 200 * time.Millisecond

// daemon is one run of the relay with everything around it.
type daemon struct {
	settings   *config.Settings
	log        *zap.Logger
	logDropped prometheus.Counter
	migrate    bool         // apply missing migrations first
	share      *relay.Share // nil if there is one source
}

// run starts the parts in the order in which they need each other, and stops them in the opposite order. Being told to stop before
// the start is complete is a clean stop too.
func (d *daemon) run(ctx context.Context) error {
	err := d.serve(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *daemon) serve(ctx context.Context) error {
	// The admin server has its address before anything is asked, so that a port that is taken ends the start at once.
	server, err := d.listen(ctx)
	if err != nil {
		return err
	}
	defer closeWithin(d.log, "admin server", server.close)

	// What each source needs. From here on probes are answered, also while a database or a broker does not answer.
	registry := admin.NewRegistry()
	registry.MustRegister(d.logDropped)
	if len(d.settings.Sources()) > 1 {
		d.share = relay.NewShare()
	}
	var sources []*source
	defer func() { closeAll(sources) }()
	for _, settings := range d.settings.Sources() {
		s, err := d.newSource(ctx, settings, registry)
		sources = append(sources, s)
		if err != nil {
			return err
		}
	}
	server.start(sources, registry)

	// The relays themselves.
	begins := newStarting(sources)
	group, running := errgroup.WithContext(ctx)
	for i, s := range sources {
		group.Go(func() error { return s.run(running, func(err error) error { return begins.tried(i, err) }) })
	}
	return group.Wait()
}

// abandonable makes a function that takes no context one that returns when ctx ends, and leaves the rest to the end of the
// process. Closing a pool says goodbye to the server, which never answers if it hangs.
func abandonable(closePart func()) func(context.Context) error {
	return func(ctx context.Context) error {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			closePart()
		}()
		select {
		case <-closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closeWithin closes a part and logs what went wrong: at a stop there is nobody to return it to.
func closeWithin(log *zap.Logger, name string, closePart func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := closePart(ctx); err != nil {
		log.Warn("could not close the "+name, zap.Error(err))
	}
}
