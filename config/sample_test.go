package config

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

const sampleFile = "config.example.yaml"

func sampleText(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, WriteSample(&out))
	return out.String()
}

func TestSampleFileIsUpToDate(t *testing.T) {
	t.Parallel()
	want := sampleText(t)
	if *update {
		require.NoError(t, os.WriteFile(sampleFile, []byte(want), 0o644))
	}
	have, err := os.ReadFile(sampleFile)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "run: go test ./config -update")
}

func TestSampleChangesNothingAsItStands(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: sampleText(t)})
	require.Equal(t, mustLoad(t, input{}).Config, settings.Config)
	require.Empty(t, settings.origins)
}

func TestSampleHoldsEveryDefault(t *testing.T) {
	t.Parallel()
	uncommented := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(sampleText(t), "$1$2")
	settings := mustLoad(t, input{yaml: uncommented})
	require.Equal(t, DefaultConfig(), settings.Config)
	require.Len(t, settings.origins, len(settings.Config.keys()))
}
