package main

import (
	"bytes"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gameoutbox/relay/config"
)

// newLogger returns the logger of the process. It writes times as RFC 3339 in UTC and every line that is logged: zap's
// own production settings drop equal messages, and two problems may differ in nothing but their fields.
func newLogger(cfg config.Log, w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, err
	}
	return zap.New(zapcore.NewCore(newEncoder(cfg.Format), zapcore.Lock(zapcore.AddSync(w)), level)), nil
}

func newEncoder(format string) zapcore.Encoder {
	encoding := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "message", StacktraceKey: "stack",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeTime:     encodeTime,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	if format == "console" {
		return zapcore.NewConsoleEncoder(encoding)
	}
	return zapcore.NewJSONEncoder(encoding)
}

// noticeOfDrops returns how a log says that lines are missing from it.
func noticeOfDrops(format string) func(lines int) []byte {
	encoder := newEncoder(format)
	return func(lines int) []byte {
		entry := zapcore.Entry{Level: zap.WarnLevel, Time: time.Now(), Message: "log lines dropped"}
		line, err := encoder.EncodeEntry(entry, []zapcore.Field{zap.Int("lines", lines)})
		if err != nil {
			return nil
		}
		defer line.Free()
		return bytes.Clone(line.Bytes())
	}
}

func encodeTime(t time.Time, to zapcore.PrimitiveArrayEncoder) {
	to.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}
