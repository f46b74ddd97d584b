package demo

import (
	"context"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logTail is how many lines of the log are shown when the demo fails.
const logTail = 15

// logfile is where the relay, the embedded server and the game write, so that the screen belongs to the account.
type logfile struct {
	path string
	log  *zap.Logger
}

func openLog(path string, c *cleanup) (*logfile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c.later("close the log", func(context.Context) error { return f.Close() })
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), f, zap.InfoLevel)
	return &logfile{path: path, log: zap.New(core)}, nil
}

// troubles returns the last lines above the level of information.
func (l *logfile) troubles() []string {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "\twarn\t") || strings.Contains(line, "\terror\t") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return lines[max(0, len(lines)-logTail):]
}
