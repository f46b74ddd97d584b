package broker

import (
	"fmt"

	"go.uber.org/zap"
)

// serverLog passes on what the embedded server logs. It never ends the process, which the server expects of Fatalf, but hands the
// cause to whoever waits for the server.
type serverLog struct {
	to    *zap.SugaredLogger
	fatal chan string // holds the first cause
}

func newServerLog(to *zap.Logger) *serverLog {
	return &serverLog{to: to.Named("nats-server").Sugar(), fatal: make(chan string, 1)}
}

func (l *serverLog) Noticef(format string, v ...any) { l.to.Infof(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.to.Warnf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.to.Errorf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.to.Debugf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.to.Debugf(format, v...) }

func (l *serverLog) Fatalf(format string, v ...any) {
	l.to.Errorf(format, v...)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
