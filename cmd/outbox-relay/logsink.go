package main

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxLogBytes is how much of the log waits for a reader that stands still. Further lines are dropped.
	maxLogBytes = 1 << 20
	// flushTimeout bounds each wait for a reader of standard error at the end of the process.
	flushTimeout = 500 * time.Millisecond
)

// logSink takes log lines and writes them in order from a goroutine of its own. A Write never waits: standard error may be a pipe that
// nothing reads, and publishing must go on. Lines that do not fit are dropped and counted, and a line says so once the log is read again.
type logSink struct {
	to      io.Writer
	notice  func(lines int) []byte // the line that counts dropped ones
	gone    func()                 // called when the reader of the log has gone away
	dropped prometheus.Counter

	mu      sync.Mutex
	lines   [][]byte
	size    int
	lost    int           // lines dropped since the last one was queued
	writing chan struct{} // closed when everything is written; nil while nothing is
}

func newLogSink(to io.Writer, notice func(lines int) []byte, gone func()) *logSink {
	return &logSink{to: to, notice: notice, gone: sync.OnceFunc(gone), dropped: prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "outbox_relay", Name: "log_dropped_total",
		// The relay of a source has a counter of this name too, see [relay.Options]: text and names of the labels are the same.
		Help:        "Log lines that were dropped because nothing read the log.",
		ConstLabels: prometheus.Labels{"source": "", "broker": ""},
	})}
}

// Write queues a line. It always succeeds.
func (s *logSink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > 0 || s.size+len(line) > maxLogBytes {
		s.lost++
		s.dropped.Inc()
		return len(line), nil
	}
	s.lines = append(s.lines, bytes.Clone(line))
	s.size += len(line)
	if s.writing == nil {
		s.writing = make(chan struct{})
		go s.write(s.writing)
	}
	return len(line), nil
}

// write writes what is queued, a line at a time, until nothing is. The goroutine exists only while there is something to write.
func (s *logSink) write(done chan struct{}) {
	defer close(done)
	for {
		lines, lost := s.take()
		if len(lines) == 0 {
			return
		}
		for _, line := range lines {
			s.writeLine(line)
		}
		if lost > 0 {
			s.writeLine(s.notice(lost))
		}
	}
}

func (s *logSink) writeLine(line []byte) {
	if _, err := s.to.Write(line); err != nil {
		s.dropped.Inc()
		if errors.Is(err, syscall.EPIPE) {
			s.gone()
		}
	}
}

// take returns what is queued, and how many lines were dropped after it.
func (s *logSink) take() (lines [][]byte, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines, lost = s.lines, s.lost
	s.lines, s.size, s.lost = nil, 0, 0
	if len(lines) == 0 {
		s.writing = nil
	}
	return lines, lost
}

// flush waits until everything is written, but not for longer than limit.
func (s *logSink) flush(limit time.Duration) {
	s.mu.Lock()
	writing := s.writing
	s.mu.Unlock()
	if writing == nil {
		return
	}
	select {
	case <-writing:
	case <-time.After(limit):
	}
}

// writeWithin writes a text, and gives up after limit: nothing may read it.
func writeWithin(limit time.Duration, to io.Writer, text []byte) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = to.Write(text) // there is no other place to report an error
	}()
	select {
	case <-written:
	case <-time.After(limit):
	}
}
