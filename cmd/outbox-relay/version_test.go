package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/migrations"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	got := cli(t, "version")
	require.Equal(t, codeOK, got.code)
	require.Regexp(t, `^outbox-relay \S+\ncommit \S+\n`+runtime.Version()+`\nschema \d+\n$`, got.out)

	var b buildInfo
	require.NoError(t, json.Unmarshal([]byte(cli(t, "version", "--json").out), &b))
	require.Equal(t, thisBuild(), b)
	require.Equal(t, migrations.Latest(), b.Schema)
}

func TestRecordedCommit(t *testing.T) {
	t.Parallel()
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "abc"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	require.Empty(t, recordedCommit(&debug.BuildInfo{}))
	require.Equal(t, "abc", recordedCommit(&debug.BuildInfo{Settings: []debug.BuildSetting{revision}}))
	require.Equal(t, "abc+changes", recordedCommit(&debug.BuildInfo{Settings: []debug.BuildSetting{revision, modified}}))
	require.Empty(t, recordedCommit(&debug.BuildInfo{Settings: []debug.BuildSetting{modified}}))
}
