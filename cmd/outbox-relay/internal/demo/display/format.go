package display

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

// Count writes a number with thousands separators.
func Count[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}

// Span writes a duration with as many digits as one can use.
func Span(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
}

// Quantiles writes a latency.
func Quantiles(l account.Latency) string {
	return fmt.Sprintf("p50 %s, p99 %s", Span(l.P50), Span(l.P99))
}
