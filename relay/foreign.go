package relay

import (
	"context"
	_ "embed" // the statements are files
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/foreign.sql
	foreignSQL string
	//go:embed sql/unreceipt_logged.sql
	unreceiptLoggedSQL string
)

// foreign are the events that only a broker has which is not configured.
type foreign struct {
	broker string
	events int64
}

// brokers returns the brokers that the publisher stands for, the primary first.
func (r *Relay) brokers() []string {
	if r.switcher == nil {
		return []string{r.publisher.Name()}
	}
	pair := r.switcher.Failover()
	return []string{pair.Primary, pair.Fallback}
}

// purges returns the brokers whose receipts may go after the retention; nil means every broker.
func (r *Relay) purges() []string {
	if r.purgeAll {
		return nil
	}
	rehomes := r.rehomes()
	return slices.DeleteFunc(r.brokers(), func(name string) bool { return slices.Contains(rehomes, name) })
}

// findForeign looks for events that only a broker has which is not configured, and tells of them.
// Nothing but this relay changes which those are while it leads.
func (r *Relay) findForeign(ctx context.Context) error {
	if r.purgeAll {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := r.db.Query(ctx, foreignSQL, r.brokers())
	if err != nil {
		return fmt.Errorf("look for events of other brokers: %w", err)
	}
	var texts []string
	var f foreign
	_, err = pgx.ForEachRow(rows, []any{&f.broker, &f.events}, func() error {
		texts = append(texts, r.explainForeign(f))
		return nil
	})
	r.track.foreign(texts)
	return err
}

func (r *Relay) explainForeign(f foreign) string {
	text := fmt.Sprintf("%d events were acknowledged by %s alone, which is not configured: they are kept", f.events, f.broker)
	if slices.Contains(r.rehomes(), f.broker) {
		return text + ", and published to " + r.publisher.Name() + " when that answers"
	}
	return text + " whatever relay.retention says; configure " + f.broker + " again, or set failover.rehome to false to let them go"
}

// takeBackLogged makes the events that a relay of an older version has only logged events to
// publish.
func (r *Relay) takeBackLogged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	events, err := queryOne[int64](ctx, r.db, unreceiptLoggedSQL)
	if err != nil {
		return fmt.Errorf("take back the receipts of a relay without a broker: %w", err)
	}
	if events > 0 {
		r.track.takenBack(events)
	}
	return nil
}
