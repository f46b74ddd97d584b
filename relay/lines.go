package relay

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxLines is how many log lines wait for a logger that blocks. Further ones are dropped.
const maxLines = 1024

// lineQueue passes log lines on to a logger, in the order in which they were added. The logger may block for as long as it likes:
// adding a line never waits, so it is safe under a lock and in the publish loop. What does not fit is dropped and counted, and a line
// says so once the logger takes lines again.
type lineQueue struct {
	log     *zap.Logger
	named   *zap.Logger // the same, for lines in the name of the one who adds them
	dropped prometheus.Counter

	mu      sync.Mutex
	lines   []queuedLine
	lost    int           // dropped since the last line was queued
	writing chan struct{} // closed when the queue is empty; nil while nothing is written
}

// queuedLine is a line that the logger has accepted, with its time, and not written yet.
type queuedLine struct {
	entry  *zapcore.CheckedEntry
	fields []zap.Field
}

func newLineQueue(log *zap.Logger, dropped prometheus.Counter) *lineQueue {
	return &lineQueue{log: log, named: log.WithOptions(zap.AddCallerSkip(2)), dropped: dropped}
}

func (q *lineQueue) info(message string, fields ...zap.Field) {
	q.add(zap.InfoLevel, message, fields)
}

func (q *lineQueue) warn(message string, fields ...zap.Field) {
	q.add(zap.WarnLevel, message, fields)
}

func (q *lineQueue) error(message string, fields ...zap.Field) {
	q.add(zap.ErrorLevel, message, fields)
}

// add queues a line. The goroutine that writes exists only while there is something to write.
func (q *lineQueue) add(level zapcore.Level, message string, fields []zap.Field) {
	entry := q.named.Check(level, message)
	if entry == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost > 0 || len(q.lines) >= maxLines {
		q.lost++
		q.dropped.Inc()
		return
	}
	q.lines = append(q.lines, queuedLine{entry, fields})
	if q.writing == nil {
		q.writing = make(chan struct{})
		go q.write(q.writing)
	}
}

// write passes on what is queued, until nothing is.
func (q *lineQueue) write(done chan struct{}) {
	defer close(done)
	for {
		lines, lost := q.take()
		if len(lines) == 0 {
			return
		}
		for _, line := range lines {
			line.entry.Write(line.fields...)
		}
		if lost > 0 {
			q.log.Warn(linesDropped, zap.Int("lines", lost))
		}
	}
}

// linesDropped is the message of the line that counts lost ones.
const linesDropped = "log lines dropped"

// take returns what is queued, and how many lines were dropped after it.
func (q *lineQueue) take() (lines []queuedLine, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, lost = q.lines, q.lost
	q.lines, q.lost = nil, 0
	if len(lines) == 0 {
		q.writing = nil
	}
	return lines, lost
}

// flush waits until everything is written, but not for longer than limit.
func (q *lineQueue) flush(limit time.Duration) {
	q.mu.Lock()
	writing := q.writing
	q.mu.Unlock()
	if writing == nil {
		return
	}
	select {
	case <-writing:
	case <-time.After(limit):
	}
}
