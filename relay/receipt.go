package relay

import (
	"context"
	"time"
)

// receipts settles events by receipts, which keep the rows until the purge. A trickle of events extends one receipt, up to
// receiptEvents events and receiptSpan.
type receipts struct {
	db     *database
	span   time.Duration
	open   int64 // the receipt that may be extended; 0 for none
	opened time.Time
	events int
}

func (r *receipts) write(ctx context.Context, news acknowledged) error {
	if r.events+len(news.events) > receiptEvents || time.Since(r.opened) > r.span {
		r.open, r.events = 0, 0
	}
	receipt, err := writeReceipt(ctx, r.db, news, r.open)
	if err != nil {
		return err
	}
	if receipt != r.open {
		r.open, r.opened, r.events = receipt, time.Now(), 0
	}
	r.events += len(news.events)
	return nil
}
