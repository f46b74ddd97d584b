package redisstream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCreatedIsRFC3339InUTC(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", -5*3600)
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1_770_000_000, 1000), time.Unix(1_770_000_000, 999_999_999), time.Unix(-62_135_596_800, 0),
		time.Date(2026, 12, 31, 23, 59, 59, 120_000_000, zone), time.Date(9999, 1, 2, 3, 4, 5, 6000, time.UTC),
		time.Date(10000, 1, 2, 3, 4, 5, 6000, time.UTC), time.Date(-1, 1, 2, 3, 4, 5, 6000, time.UTC),
	} {
		got, err := (*createdArg)(&at).MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, at.UTC().Format(createdLayout), string(got))
	}
}
