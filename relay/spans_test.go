package relay

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnionOfSpans(t *testing.T) {
	t.Parallel()
	assert.Empty(t, union(nil))
	assert.Equal(t, []span{{1, 9}, {11, 12}}, union([]span{{11, 12}, {4, 6}, {1, 3}, {5, 9}, {2, 2}}))
}

func TestWhatLiesBetweenSpans(t *testing.T) {
	t.Parallel()
	const low = math.MinInt64
	for name, c := range map[string]struct {
		spans []span
		head  int64
		want  []span
	}{
		"nothing is covered":      {nil, 7, []span{{low, 7}}},
		"all from the first id":   {[]span{{low, 9}}, 7, nil},
		"a hole and an end":       {[]span{{1, 3}, {5, 6}}, 9, []span{{low, 0}, {4, 4}, {7, 9}}},
		"a span reaches the head": {[]span{{1, 3}, {5, 9}}, 9, []span{{low, 0}, {4, 4}}},
		"a span passes the head":  {[]span{{1, 3}, {5, 9}}, 6, []span{{low, 0}, {4, 4}}},
		"a span behind the head":  {[]span{{1, 3}, {8, 9}}, 5, []span{{low, 0}, {4, 5}}},
	} {
		assert.Equal(t, c.want, between(c.spans, c.head), name)
	}
}

func TestWhetherSpansCoverAnID(t *testing.T) {
	t.Parallel()
	spans := []span{{1, 3}, {5, 5}}
	for id, want := range []bool{false, true, true, true, false, true, false} {
		assert.Equal(t, want, covers(spans, int64(id)), id)
	}
	assert.False(t, covers(nil, 1))
}

func TestWhatOfSpansLiesBehindAnID(t *testing.T) {
	t.Parallel()
	spans := []span{{1, 3}, {5, 8}}
	assert.Equal(t, []span{{3, 3}, {5, 8}}, behind(spans, 2))
	assert.Equal(t, []span{{5, 8}}, behind(spans, 3))
	assert.Equal(t, []span{{8, 8}}, behind(spans, 7))
	assert.Empty(t, behind(spans, 8))
	assert.Equal(t, []span{{1, 3}, {5, 8}}, spans)
}
