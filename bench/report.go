package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// measure is one row of the report: a rate, taken once a pass.
type measure struct {
	name  string
	run   func(context.Context) (float64, error)
	rates []float64
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// report prints medians, and each as a ratio to the relay's own drain.
func report(w io.Writer, o options, measures []measure, cpu []time.Duration, l latencies, idle float64) {
	own := median(measures[len(measures)-1].rates)
	fmt.Fprintf(w, "\n%d events of %d bytes, %d passes in turn\n\n", o.events, o.size, o.passes)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "measurement\tmedian, events/s\tlowest\thighest\trelay / this\t")
	for _, m := range measures {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t\n", m.name, median(m.rates), slices.Min(m.rates), slices.Max(m.rates), own/median(m.rates))
	}
	_ = table.Flush() // as any write to standard output
	fmt.Fprintf(w, "\nrelay, CPU an event: %.1f µs (the process with the relay in it)\n", float64(median(cpu))/float64(time.Microsecond))
	fmt.Fprintf(w, "relay, idle: %.2f%% of one core\n", 100*idle)
	fmt.Fprintf(w, "commit to stored, %d events/s: p50 %.2f ms, p99 %.2f ms, worst %.2f ms, %d events\n",
		o.rate, ms(l.at(0.5)), ms(l.at(0.99)), ms(l.at(1)), len(l))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
