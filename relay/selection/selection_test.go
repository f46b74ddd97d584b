package selection

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidateReportsAllProblems(t *testing.T) {
	t.Parallel()
	require.NoError(t, Selection{}.Validate())
	require.True(t, Selection{}.Empty())
	now := time.Now()
	require.NoError(t, Selection{First: 3, Last: 3, Subject: "game.*.level_up", Since: now, Until: now.Add(time.Second)}.Validate())
	err := Selection{First: 4, Last: 3, Subject: "game..x", Since: now, Until: now}.Validate()
	for _, want := range []string{"the ids 4 to 3", "is empty", `"game..x"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestSubjectPatterns(t *testing.T) {
	t.Parallel()
	for pattern, c := range map[string]struct{ yes, no []string }{
		">":               {[]string{"a", "a.b"}, nil},
		"game.>":          {[]string{"game.a", "game.a.b"}, []string{"game", "games.a"}},
		"game.*.level_up": {[]string{"game.7.level_up"}, []string{"game.7.x.level_up", "game.level_up", "game.7.level-up"}},
		"a+b.c(d)":        {[]string{"a+b.c(d)"}, []string{"aab.cd"}},
		"größe.x":         {[]string{"größe.x"}, []string{"grösse.x"}},
	} {
		s := Selection{Subject: pattern}
		require.NoError(t, s.Validate(), pattern)
		re := regexp.MustCompile(s.subjectRE())
		for _, subject := range c.yes {
			assert.Regexp(t, re, subject, pattern)
		}
		for _, subject := range c.no {
			assert.NotRegexp(t, re, subject, pattern)
		}
	}
	for _, bad := range []string{"", "a.", ".a", "a.>.b", "a b", "a.b*"} {
		assert.False(t, patternRE.MatchString(bad), bad)
	}
}
