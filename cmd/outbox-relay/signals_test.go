package main

import (
	"bytes"
	"context"
	"os"
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

		require.NoError(t, syscall.Kill(os.Getpid(), sig))
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)

		require.NoError(t, syscall.Kill(os.Getpid(), sig))
		require.Equal(t, codeFailure, <-exited)
		require.Contains(t, stderr.String(), "second signal ("+sig.String()+")")
		release()
	}
}

func TestSignalsThatComeTogetherAreOne(t *testing.T) {
	var stderr bytes.Buffer
	ctx, release := untilSignal(t.Context(), time.Hour, &stderr, func(int) { t.Error("the process ended") })
	for range 3 {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
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
