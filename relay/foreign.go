package relay

import (
	"context"
	_ "embed" // the statements are files
	"fmt"
)

//go:embed sql/unreceipt_logged.sql
var unreceiptLoggedSQL string

// takeBackLogged makes the events that a relay of an older version has only logged events to publish.
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
