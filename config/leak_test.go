package config

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// planted is the part of a password that nothing may show.
const planted = "Zq7XkW9v"

// slot is a setting that holds a password, and how people write it, rightly and wrongly; {} is the
// password as it is, {e} the password encoded for a URL.
type slot struct {
	key   string
	forms []string
}

var slots = []slot{
	{"postgres.url", []string{
		"postgres://u:{}@h:5432/db", "postgres://u:{e}@h/db?sslmode=disable", "postgresql://:{}@h", "postgres://u:{}", "postgres://u:{}/db",
		"postgres://h/db?user=u&password={}", "postgres://h/db?pasword={e}", "postgres://h/db?{}", "postgres:/u:{}@h/db", "Postgres://u:{}@h",
		"mysql://u:{}@h", "u:{}@h", "{}", "postgres://u:{}@a,b/db", "postgres://u:{}://x@h/db", "postgres://u:{}@h:port/db",
		"host=h user=u password={} dbname=db", "host=h user=u password='{}'", "host=h password={}", "host= password={} user=u",
		"host=h user= password={}", "host=h passwrod={}", "host=h pw={}", "host=h,password={}", "host=h;password={};", "host=h password:{}",
		"password={} host=", "'host=h password={}'", "url=postgres://u:{}@h/db", "host=postgres://u:{}@h/db", "host=h options='-c x.password={}'",
	}},
	{"mq.nats_url", []string{
		"nats://u:{}@h:4222", "nats://{}@h", "{}@h", "u:{}@h", "nats://u:{e}@a:1,nats://u:{e}@b:1", "nats://a,nats://u:{}@b", "nats://a,u:{}@b",
		"nats://u:{}://x@h", "nats://u:{}", "nats://a,nats://u:{}", "nats:/u:{}@h", "http://u:{}@h", "ws://h/?token={}", "ws://h/?{}",
		"nats://u:{} @h", "tls://u:x,{}@h", "{}://h", "nats://u:1,{}@h", "nats://u:{},1@h",
	}},
	{"mq.password", []string{"{}"}},
	{"mq.token", []string{"{}"}},
	{"redis.password", []string{"{}"}},
	{"redis.sentinel.password", []string{"{}"}},
	{"redis.host", []string{"redis://:{}@h", "redis://u:{}@h:6379", "u:{}@h", "redis://:{}", "redis://u:{}/0", "h:6379,password={}"}},
	{"redis.addresses", []string{"redis://:{}@h:1", "redis://:{}@h:1,b:2", "a:1,redis://u:{}@b:1", "u:a://{}@h:1", "u:{}://a:1", "a:1,b:1,password={}"}},
	{"admin.listen", []string{"http://u:{}@h:1"}},
	{"mq.stream_name", []string{"nats://u:{}@h"}},
	{"mq.subjects", []string{"nats://u:{}@h"}},
	{"mq.user", []string{"nats://u:{}@h"}},
	{"redis.stream", []string{"redis://u:{}@h", "password={}"}},
	{"log.level", []string{"redis://u:{}@h"}},
}

// places are the ways to set a setting to a text.
var places = map[string]func(t testing.TB, key, text string) input{
	"quoted":  func(_ testing.TB, key, text string) input { return nested(key, strconv.Quote(text), ": ") },
	"single":  func(_ testing.TB, key, text string) input { return nested(key, "'"+text+"'", ": ") },
	"plain":   func(_ testing.TB, key, text string) input { return nested(key, text, ": ") },
	"flow":    func(_ testing.TB, key, text string) input { return braced(key, text, ": ") },
	"glued":   func(_ testing.TB, key, text string) input { return nested(key, text, ":") },
	"in flow": func(_ testing.TB, key, text string) input { return braced(key, text, ":") },
	"list":    func(_ testing.TB, key, text string) input { return nested(key, "["+text+"]", ": ") },
	"map":     func(_ testing.TB, key, text string) input { return nested(key, "{"+text+"}", ": ") },
	"tag":     func(_ testing.TB, key, text string) input { return nested(key, "!"+text, ": ") },
	"anchor":  func(_ testing.TB, key, text string) input { return nested(key, "*"+text, ": ") },
	"unknown": func(_ testing.TB, key, text string) input { return nested(key+"x", text, ": ") },
	"source": func(_ testing.TB, key, text string) input {
		in := nested(key, strconv.Quote(text), ": ")
		in.yaml = "sources:\n- name: eu\n  " + strings.ReplaceAll(strings.TrimSuffix(in.yaml, "\n"), "\n", "\n  ") + "\n"
		return in
	},
	"variable": func(_ testing.TB, key, text string) input { return input{env: []string{envName(key) + "=" + text}} },
	"misspelt": func(_ testing.TB, key, text string) input { return input{env: []string{envName(key) + "X=" + text}} },
	"flag":     func(_ testing.TB, key, text string) input { return input{args: []string{"--" + key + "=" + text}} },
	"file": func(t testing.TB, key, text string) input {
		return nested(key+fileSuffix, secretFile(t, text+"\n"), ": ")
	},
	"variable of a file": func(t testing.TB, key, text string) input {
		return input{env: []string{envName(key+fileSuffix) + "=" + secretFile(t, text)}}
	},
	"instead of a file": func(_ testing.TB, key, text string) input { return nested(key+fileSuffix, strconv.Quote(text), ": ") },
	"variable instead of a file": func(_ testing.TB, key, text string) input {
		return input{env: []string{envName(key+fileSuffix) + "=" + text}}
	},
}

// nested writes a setting as people indent it; braced writes its last section in braces.
func nested(key, text, colon string) input {
	var b strings.Builder
	parts := strings.Split(key, ".")
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(strings.Repeat("  ", i) + part + ":\n")
	}
	last := len(parts) - 1
	return input{yaml: b.String() + strings.Repeat("  ", last) + parts[last] + colon + text + "\n"}
}

func braced(key, text, colon string) input {
	i := strings.LastIndexByte(key, '.')
	return nested(key[:i], "{"+key[i+1:]+colon+text+"}", ": ")
}

// shownOf returns everything that loading and printing a configuration shows.
func shownOf(t testing.TB, in input) string {
	t.Helper()
	src := Source{Environ: in.env, File: filepath.Join(t.TempDir(), "config.yaml"), Required: []string{"postgres.url"}}
	require.NoError(t, os.WriteFile(src.File, []byte(in.yaml), 0o600))
	src.Flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(src.Flags)
	if err := src.Flags.Parse(in.args); err != nil {
		return err.Error()
	}
	settings, err := Load(src)
	if err != nil {
		return err.Error()
	}
	var printed bytes.Buffer
	require.NoError(t, settings.Print(&printed))
	for _, source := range settings.Sources() {
		for _, key := range []string{"postgres.url", "mq.nats_url", "redis.host", "redis.addresses", "admin.listen"} {
			printed.WriteString(source.Show(key) + "\n")
		}
		for _, section := range []string{"postgres", "mq", "redis"} {
			if _, err := source.Reread(section); err != nil {
				printed.WriteString(err.Error())
			}
		}
	}
	return printed.String()
}

// plant returns a form with a password.
func plant(form, password string) string {
	return strings.NewReplacer("{}", password, "{e}", url.QueryEscape(password)).Replace(form)
}

func TestNoFormOfASettingShowsItsSecret(t *testing.T) {
	t.Parallel()
	odd := []string{
		"a," + planted, planted + ",b", "a:" + planted, "1" + planted, "a@" + planted, "a/" + planted, "a://" + planted,
		"a=" + planted, planted + "%zz", planted + "#c", "a\\" + planted, "!" + planted, "*" + planted, "a," + planted + ": b",
	}
	for _, s := range slots {
		t.Run(s.key, func(t *testing.T) {
			t.Parallel()
			for _, form := range s.forms {
				for place, in := range places {
					require.NotContains(t, shownOf(t, in(t, s.key, plant(form, planted))), planted, "%s: %s", place, form)
				}
				for _, password := range odd {
					if ambiguous(form, password) {
						continue
					}
					for _, place := range []string{"flow", "variable"} {
						shown := shownOf(t, places[place](t, s.key, plant(form, password)))
						require.NotContains(t, shown, planted, "%s: %s with %s", place, form, password)
					}
				}
			}
		})
	}
}

// ambiguous tells whether a form with a password may be a good value that means something else: the
// host is missing, and the password holds what separates it from the user or from the database.
func ambiguous(form, password string) bool {
	return !strings.Contains(form, "@") && strings.Contains(form, "://") && strings.ContainsAny(password, "@/?")
}

// FuzzNoSecretIsShown looks for a password, and a way to write it, of which a part is shown.
func FuzzNoSecretIsShown(f *testing.F) {
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range places {
			if !yield(name) {
				return
			}
		}
	})
	for i, s := range slots {
		for j := range s.forms {
			f.Add(uint8(i), uint8(j), uint8(i+j), "", "")
		}
	}
	f.Add(uint8(4), uint8(0), uint8(6), "/", "")   // found: a password in the place of its file
	f.Add(uint8(0), uint8(4), uint8(10), "0/", "") // found: no host, and a database
	for _, odd := range []string{",", ":", "@", "/", "://", "=", "%", "?", "#", "&", "a:b@c,", "{", "[", "!", "*", "|", "-", "1", "\\"} {
		f.Add(uint8(0), uint8(0), uint8(0), odd, "")
		f.Add(uint8(1), uint8(0), uint8(3), odd, odd)
	}
	f.Fuzz(func(t *testing.T, i, j, k uint8, before, after string) {
		s := slots[int(i)%len(slots)]
		form, place := s.forms[int(j)%len(s.forms)], names[int(k)%len(names)]
		// Blanks and quotes in a text without quotes begin another value, which no reader can know
		// to be meant otherwise.
		if len(before)+len(after) > 20 || !utf8.ValidString(before+after) || strings.ContainsAny(before+after, " \t\r\n\v\f\u0085\u00a0\u2028\u2029\"'\x00") {
			return
		}
		if ambiguous(form, before) || strings.Count(filepath.Clean(before), "/") > 1 { // a path, where a file may be named
			return
		}
		require.NotContains(t, shownOf(t, places[place](t, s.key, plant(form, before+planted+after))), planted)
	})
}
