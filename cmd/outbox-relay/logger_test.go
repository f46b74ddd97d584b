package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
)

func TestLogIsJSONWithReadableTimes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := newLogger(config.DefaultLog(), &out)
	require.NoError(t, err)
	log.Info("hello", zap.Duration("took", 1500*time.Millisecond))

	var line map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	at, err := time.Parse(time.RFC3339Nano, line["time"])
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.True(t, strings.HasSuffix(line["time"], "Z"))
	delete(line, "time")
	require.Equal(t, map[string]string{"level": "info", "message": "hello", "took": "1.5s"}, line)
}

func TestLogDropsNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := newLogger(config.DefaultLog(), &out)
	require.NoError(t, err)
	const lines = 500
	for i := range lines {
		log.Error("the same text", zap.Int("but another", i))
	}
	require.Equal(t, lines, strings.Count(out.String(), "\n"))
}

func TestLogLevelAndFormat(t *testing.T) {
	t.Parallel()
	for _, level := range config.LogLevels {
		for _, format := range config.LogFormats {
			var out bytes.Buffer
			log, err := newLogger(config.Log{Level: level, Format: format}, &out)
			require.NoError(t, err)
			log.Debug("seen")
			require.Equal(t, level == "debug", out.Len() > 0)
			log.Error("seen")
			require.Equal(t, format == "json", strings.HasPrefix(out.String(), "{"))
		}
	}
}
