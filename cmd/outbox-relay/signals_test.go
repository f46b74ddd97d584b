package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests of signals are not parallel: a signal reaches everyone in the process who listens.

func TestFirstSignalEndsTheContextAndTheSecondTheProcess(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		var stderr bytes.Buffer
		exited := make(chan int)
		ctx, release := untilSignal(t.Context(), 0, &stderr, func(code int) { exited <- code })
		require.NoError(t, ctx.Err())

		raise(t, sig)
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)

		raise(t, sig)
		require.Equal(t, codeFailure, <-exited)
		require.Contains(t, stderr.String(), "second signal ("+sig.String()+")")
		release()
	}
}

func TestSignalsThatComeTogetherAreOne(t *testing.T) {
	var stderr bytes.Buffer
	ctx, release := untilSignal(t.Context(), time.Hour, &stderr, func(int) { t.Error("the process ended") })
	for range 3 {
		raise(t, syscall.SIGTERM)
		<-ctx.Done()
	}
	release()
	require.Empty(t, stderr.String())
}

func TestReleaseEndsTheContext(t *testing.T) {
	ctx, release := untilSignal(t.Context(), oneWish, os.Stderr, os.Exit)
	release()
	require.Error(t, ctx.Err())
}

// raise sends the process a signal and returns when it has arrived. One that arrived later, after the test has given the signals
// back, would end the process: the system may hand a signal to any thread, and kill(2) waits for it only on its own.
func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, sig)
	defer signal.Stop(arrived)
	require.NoError(t, syscall.Kill(os.Getpid(), sig))
	<-arrived
}
