package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// progressInterval is how often the line is drawn.
const progressInterval = 200 * time.Millisecond

// progressBar is a line of a terminal that is drawn again and again. On anything else it writes nothing.
type progressBar struct {
	out   io.Writer
	on    bool
	doing string
	first uint64    // what was done when doing began
	began time.Time // when that was
	drawn time.Time
	width int
}

func newProgressBar(out io.Writer) *progressBar {
	return &progressBar{out: raw(out), on: onTerminal(out)}
}

// show draws how far the work is, now and then. unit is what is counted; empty for what nobody counts.
func (p *progressBar) show(doing string, done, total uint64, unit string) {
	now := time.Now()
	if !p.on || doing == p.doing && now.Sub(p.drawn) < progressInterval {
		return
	}
	if doing != p.doing {
		p.doing, p.first, p.began = doing, done, now
	}
	p.drawn = now
	text := progressText(printable(doing), done, total)
	if unit != "" {
		text += fmt.Sprintf("  %d of %d %s", done, total, unit)
	}
	text += paceText(now.Sub(p.began), done-min(done, p.first), total-min(total, done), unit)
	p.draw(text)
}

// counting returns a function that shows how many of total dead letters are done.
func (p *progressBar) counting(doing string, total int64) func(done int) {
	return func(done int) { p.show(doing, uint64(done), uint64(total), "dead letters") }
}

// draw replaces the line.
func (p *progressBar) draw(text string) {
	width := utf8.RuneCountInString(text)
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
}

// clear takes the line away, so that something else can be written.
func (p *progressBar) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// progressText is the bar.
func progressText(doing string, done, total uint64) string {
	const width = 20
	share := 1.0
	if total > 0 {
		share = min(1, float64(done)/float64(total))
	}
	full := int(share * width)
	return fmt.Sprintf("%s [%s%s] %3.0f%%", doing, strings.Repeat("#", full), strings.Repeat(".", width-full), 100*share)
}

// paceText says how fast the work is, and how long it still takes; empty while that cannot be told.
func paceText(took time.Duration, done, left uint64, unit string) string {
	if took < time.Second || done == 0 {
		return ""
	}
	perSecond := float64(done) / took.Seconds()
	text := fmt.Sprintf("  %s left", time.Duration(float64(left)/perSecond*float64(time.Second)).Round(time.Second))
	if unit != "" {
		text = fmt.Sprintf("  %.0f/s", perSecond) + text
	}
	return text
}
