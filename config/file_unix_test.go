//go:build unix

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	return path
}

func TestAPipeIsNoSecretFile(t *testing.T) {
	t.Parallel()
	path := pipe(t)
	for _, variable := range []string{"OUTBOX_REDIS_PASSWORD_FILE", "OUTBOX_POSTGRES_URL_FILE", "OUTBOX_MQ_CREDS_FILE", "OUTBOX_REDIS_TLS_CA_FILE"} {
		_, problems := load(t, input{env: []string{variable + "=" + path}})
		require.Len(t, problems, 1)
		require.Contains(t, problems[0], variable)
		require.Contains(t, problems[0], "which cannot be read: it is no regular file but a pipe")
	}
	_, problems := load(t, input{env: []string{"OUTBOX_REDIS_PASSWORD_FILE=" + filepath.Dir(path)}})
	require.Contains(t, problems[0], "it is no regular file but a folder")
}

func TestASecretFileMayBecomeAPipe(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "hunter2")
	settings := mustLoad(t, input{env: []string{"OUTBOX_REDIS_PASSWORD_FILE=" + path}})
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := settings.Reread("redis")
	require.ErrorContains(t, err, "it is no regular file but a pipe")
}

func TestAConfigurationFromAPipe(t *testing.T) {
	t.Parallel()
	path := pipe(t)
	_, err := Load(Source{File: path})
	require.ErrorContains(t, err, "it is a pipe that nothing was written to")

	read, write, err := os.Pipe() // as a shell makes one for <(...)
	require.NoError(t, err)
	defer read.Close()
	_, err = write.WriteString("log: {level: warn}\n")
	require.NoError(t, err)
	require.NoError(t, write.Close())
	settings, err := Load(Source{File: fmt.Sprintf("/dev/fd/%d", read.Fd())})
	require.NoError(t, err)
	require.Equal(t, "warn", settings.Config.Log.Level)
}
