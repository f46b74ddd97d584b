package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzDurationAndSize checks that a time or a size is written as it is read, and that a hint can be
// used.
func FuzzDurationAndSize(f *testing.F) {
	for _, text := range []string{"5s", "1m30s", "3d", "2 weeks", "-1s", "1.5h", "9999999h", "4MiB", "10GB", "64k", "0", "99999999999GiB", "-1KiB", "1d12h", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, d2 time.Duration
		if durationValue(&d).parse(text) {
			require.True(t, durationValue(&d2).parse(durationValue(&d).text()))
			require.Equal(t, d, d2)
		}
		if hint := DurationHint(text); hint != "" {
			require.True(t, durationValue(&d).parse(hint), "%q", hint)
		}
		var n, n2 int64
		if sizeValue(&n).parse(text) {
			require.True(t, sizeValue(&n2).parse(sizeValue(&n).text()))
			require.Equal(t, n, n2)
		}
		if hint := sizeHint[int64](text); hint != "" {
			require.True(t, sizeValue(&n).parse(hint), "%q", hint)
		}
	})
}

// FuzzConnectionString checks that a connection string or a list of servers which is refused or
// shown makes nothing panic, and that what is changed is hidden and nothing else.
func FuzzConnectionString(f *testing.F) {
	for _, s := range slots[:2] {
		for _, form := range s.forms {
			f.Add(plant(form, "a,b:c@d/e"))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if problem := (Postgres{URL: text, MaxConns: 4}).Validate(); problem == nil {
			_ = Postgres{URL: text}.MayBePlain()
		}
		for _, hide := range []func(string) string{RedactPostgres, RedactNATS} {
			if once := hide(text); once != text {
				require.Contains(t, once, Hidden)
			}
		}
	})
}
