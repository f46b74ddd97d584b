package redisstream

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func stored(sequence uint64, duplicate bool) relay.Outcome {
	return relay.Outcome{Stored: true, Duplicate: duplicate, Sequence: sequence}
}

func TestParseReply(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]reply{
		"":                 {},
		"1-0":              {stored: []relay.Outcome{stored(1<<20, false)}},
		"=1-2 3-0":         {stored: []relay.Outcome{stored(1<<20+2, true), stored(3<<20, false)}},
		"<2-5 2-5 2-6":     {stored: []relay.Outcome{stored(2<<20+5, true), stored(2<<20+6, false)}},
		"<2-5 2-6 2-6":     {stored: []relay.Outcome{stored(2<<20+6, false), stored(2<<20+6, true)}},
		"!OOM no memory":   {failure: "OOM no memory"},
		"1-0 !ERR a b":     {stored: []relay.Outcome{stored(1<<20, false)}, failure: "ERR a b"},
		"<0-0 !WRONGTYPE ": {failure: "WRONGTYPE "},
	} {
		got, err := parseReply(text, len(want.stored))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{" ", "x", "1", "1-", "-1", "1-0  2-0", "1-0 x !y", "=", "99999999999999999999-0", "1--0"} {
		_, err := parseReply(text, 0)
		require.ErrorIs(t, err, errReply, text)
	}
}

func TestSequenceKeepsTheOrderOfEntries(t *testing.T) {
	t.Parallel()
	last := uint64(0)
	for _, id := range []string{"0-1", "1-0", "1-1", "1-1048575", "2-0", "1795667203666-0", "1795667203666-7", "17592186044415-1048575"} {
		sequence, ok := parseSequence(id)
		require.True(t, ok, id)
		require.Greater(t, sequence, last, id)
		last = sequence
	}
	require.Equal(t, uint64(math.MaxUint64), last)
	require.Equal(t, 2527, time.UnixMilli(17592186044415).UTC().Year())
	cut, ok := parseSequence("1-1048576")
	require.True(t, ok)
	require.Equal(t, uint64(1<<20|(1<<20-1)), cut)
	cut, ok = parseSequence("18446744073709551615-18446744073709551615")
	require.True(t, ok)
	require.Equal(t, uint64(math.MaxUint64), cut)
}

func FuzzParseReply(f *testing.F) {
	f.Add("<2-5 2-5 =2-6 !x")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseReply(text, 0)
		if err == nil && len(got.stored) > len(text) {
			t.Fatal("more outcomes than words")
		}
	})
}
