package config

import (
	"net/url"
	"regexp"
	"strings"
)

// Hidden stands for a secret wherever a configuration is shown.
const Hidden = "[hidden]"

// RedactPostgres returns a Postgres connection string with every password in it replaced by [Hidden]. Both forms that libpq
// knows are understood; of anything else nothing is shown but [Hidden].
func RedactPostgres(dsn string) string {
	switch {
	case strings.TrimSpace(dsn) == "":
		return dsn
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return redactURL(dsn, hidePassword)
	case keywordValueForm.MatchString(dsn):
		return redactKeywordValues(dsn)
	}
	return Hidden
}

// RedactNATS returns a comma-separated list of NATS server URLs with every secret in it replaced by [Hidden]. A user
// without a password is a token, as nats.go reads it, and therefore a secret.
func RedactNATS(urls string) string {
	servers := strings.Split(urls, ",")
	for i, server := range servers {
		servers[i] = redactURL(server, hidePasswordOrToken)
	}
	return strings.Join(servers, ",")
}

// redactSecret hides a value that is a secret as a whole. An empty one is shown: that it is missing is no secret.
func redactSecret(secret string) string {
	if secret == "" {
		return ""
	}
	return Hidden
}

// redactURL replaces the secrets in one URL, whose scheme may be missing. User information ends at the first "@" before the first
// "/", as in libpq and pgx. A further "@" means that a password was not encoded and that its end cannot be known, so then
// everything is hidden.
func redactURL(text string, hideUserinfo func(string) string) string {
	scheme, rest := "", text
	if i := strings.Index(text, "://"); i >= 0 {
		scheme, rest = text[:i+3], text[i+3:]
	}
	userinfo := ""
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		userinfo, rest = hideUserinfo(rest[:i])+"@", rest[i+1:]
	}
	if strings.ContainsRune(scheme+rest, '@') {
		return Hidden
	}
	return scheme + userinfo + redactQuery(rest)
}

func hidePassword(userinfo string) string {
	user, password, found := strings.Cut(userinfo, ":")
	if !found || password == "" {
		return userinfo
	}
	return user + ":" + Hidden
}

func hidePasswordOrToken(userinfo string) string {
	if !strings.Contains(userinfo, ":") {
		return redactSecret(userinfo)
	}
	return hidePassword(userinfo)
}

// redactQuery hides the parameters of a URL that are named like a secret, also where the name is percent-encoded.
func redactQuery(rest string) string {
	path, query, found := strings.Cut(rest, "?")
	if !found {
		return rest
	}
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		name, _, _ := strings.Cut(parameter, "=")
		decoded, err := url.QueryUnescape(name)
		if err != nil || namesSecret(decoded) {
			parameters[i] = name + "=" + Hidden
		}
	}
	return path + "?" + strings.Join(parameters, "&")
}

var (
	keywordValue     = regexp.MustCompile(`([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\']|\\.)*)`)
	keywordValueForm = regexp.MustCompile(`^\s*(?:` + keywordValue.String() + `\s*)+$`)
)

func redactKeywordValues(dsn string) string {
	return keywordValue.ReplaceAllStringFunc(dsn, func(pair string) string {
		name := keywordValue.FindStringSubmatch(pair)[1]
		if !namesSecret(name) {
			return pair
		}
		return name + "=" + Hidden
	})
}

// namesSecret tells whether a parameter of a connection string, such as password or sslpassword, holds a secret.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}
