package relay

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatAStreamCanHaveRemovedByItself(t *testing.T) {
	t.Parallel()
	const never = math.MaxInt64
	plain := StreamState{Incarnation: "1", First: 1, Last: 10, KeepsUntil: never}
	limited := func(first, last, until uint64) StreamState {
		return StreamState{Incarnation: "1", First: first, Last: last, KeepsUntil: until, Expires: "max_msgs is 20"}
	}
	anywhere := StreamState{Incarnation: "1", First: 1, Last: 10, Expires: "consumers"}
	aged := StreamState{Incarnation: "1", First: 1, Last: 10, KeepsUntil: never, MaxAge: time.Hour}
	change := func(s StreamState, change func(*StreamState)) StreamState { change(&s); return s }
	purged := change(plain, func(s *StreamState) { s.First = 8 })
	for name, tt := range map[string]struct {
		looks []StreamState
		from  uint64
		doubt bool // at the last look
	}{
		"of what was before the first look nothing is known": {[]StreamState{plain}, 11, false},
		"what is gone at the first look is doubtful":         {[]StreamState{purged}, 11, true},
		"a new stream":                  {[]StreamState{change(plain, func(s *StreamState) { s.Last = 0 })}, 1, false},
		"no limit":                      {[]StreamState{change(plain, func(s *StreamState) { s.Last = 0 }), plain, purged}, 1, false},
		"a limit that is not reached":   {[]StreamState{limited(1, 0, 20), limited(1, 10, 20), limited(8, 20, 33)}, 1, false},
		"a limit that is reached":       {[]StreamState{limited(1, 0, 20), limited(1, 10, 20), limited(8, 21, 27)}, 8, false},
		"a limit that was reached":      {[]StreamState{limited(1, 0, 20), limited(3, 22, 22), limited(9, 22, 28)}, 3, false},
		"a limit is lifted":             {[]StreamState{limited(1, 0, 20), change(purged, func(s *StreamState) { s.Last = 27 })}, 8, true},
		"a limit is set":                {[]StreamState{change(plain, func(s *StreamState) { s.Last = 0 }), limited(8, 10, 27)}, 8, true},
		"a limit is changed, none gone": {[]StreamState{limited(1, 0, 20), plain}, 1, false},
		"max_age is lifted":             {[]StreamState{change(aged, func(s *StreamState) { s.Last = 0 }), purged}, 8, true},
		"max_age stays":                 {[]StreamState{change(aged, func(s *StreamState) { s.Last = 0 }), change(aged, func(s *StreamState) { s.First = 8 })}, 1, false},
		"it may remove from anywhere":   {[]StreamState{change(anywhere, func(s *StreamState) { s.Last = 0 }), anywhere}, 11, false},
		"it could":                      {[]StreamState{change(anywhere, func(s *StreamState) { s.Last = 0 }), purged}, 11, true},
		"another stream":                {[]StreamState{limited(1, 0, 20), change(plain, func(s *StreamState) { s.Incarnation = "2" })}, 11, false},
		"the end is lost": {
			[]StreamState{limited(1, 0, 20), limited(90, 99, 99), limited(1, 7, 27)}, 8, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var k kept
			var doubt bool
			for _, look := range tt.looks {
				_, doubt = k.doubt(place{}, look)
				k = k.next(look)
			}
			require.Equal(t, tt.from, k.from)
			require.Equal(t, tt.doubt, doubt)
		})
	}
}
