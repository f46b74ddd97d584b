package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	whole := &failure{what: "cannot start", cause: errors.New("first\nsecond"), value: "a is b (c)", next: "do this"}
	for name, tc := range map[string]struct {
		err  error
		code int
		want string
	}{
		"plain":   {context.Canceled, codeFailure, "outbox-relay: context canceled\n"},
		"short":   {&failure{what: "x", code: codeUsage}, codeUsage, "outbox-relay: x\n"},
		"wrapped": {fmt.Errorf("around: %w", &failure{what: "x"}), codeFailure, "outbox-relay: x\n"},
		"whole": {whole, codeFailure, "outbox-relay: cannot start\n  cause: first\n         second\n" +
			"  value: a is b (c)\n  next:  do this\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.Equal(t, tc.code, report(&out, tc.err))
			require.Equal(t, tc.want, out.String())
		})
	}
	require.EqualError(t, whole, "cannot start: first\nsecond")
	require.EqualError(t, &failure{what: "x"}, "x")
}

func TestBoth(t *testing.T) {
	t.Parallel()
	a := &failure{what: "a", next: "do a", code: codeUsage}
	b := &failure{what: "b", next: "do b", value: "v"}
	require.NoError(t, both(nil, nil))
	require.ErrorIs(t, both(a, nil), a)
	require.ErrorIs(t, both(nil, b), b)
	require.Equal(t, &failure{what: "a; b", next: "do a\ndo b", value: "v", code: codeUsage}, both(a, b))
}
