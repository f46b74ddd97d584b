package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Hidden stands for a secret wherever a configuration is shown.
const Hidden = "[hidden]"

// A text is shown only if its form is known exactly, so that nothing which may be a part of a
// password is taken for something else.
var (
	oneHost  = `(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])`
	onePlace = oneHost + `(?::[0-9]{1,5})?`

	// postgresRest is what follows the user in a URL: hosts, also none, or a socket's folder; the
	// database; parameters.
	postgresRest = regexp.MustCompile(`^(?:` + onePlace + `(?:,` + onePlace + `)*|%2[Ff][A-Za-z0-9_.%-]*|:[0-9]{1,5})?` +
		`(?:/[^/?:@#]*)?(?:\?.*)?$`)
	natsScheme  = regexp.MustCompile(`^(?i:nats|tls|ws|wss)$`)
	natsRest    = regexp.MustCompile(`^` + onePlace + `(?:/[A-Za-z0-9_.~/-]*)?(?:\?.*)?$`)
	addressList = regexp.MustCompile(`^` + onePlace + `(?:,` + onePlace + `)*$`)
	plainURL    = regexp.MustCompile(`^[a-z]{1,12}://` + onePlace + `/?$`)
)

// RedactPostgres returns a Postgres connection string with every password in it replaced by [Hidden]. Both forms that libpq
// knows are understood; of anything else nothing is shown but [Hidden].
func RedactPostgres(dsn string) string {
	if strings.TrimSpace(dsn) == "" {
		return dsn
	}
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, found := strings.CutPrefix(dsn, scheme); found {
			return redactURL(scheme, rest, postgresRest, hidePassword)
		}
	}
	return redactKeywordValues(dsn)
}

// RedactNATS returns a comma-separated list of NATS server URLs with every secret in it replaced by
// [Hidden]. A user without a password is a token, as nats.go reads it, and therefore a secret. A
// list in which a comma may belong to a password is hidden as a whole.
func RedactNATS(urls string) string {
	if strings.TrimSpace(urls) == "" {
		return urls
	}
	servers, signsIn := strings.Split(urls, ","), true // whether the server before has a user
	for i, server := range servers {
		scheme, rest, found := strings.Cut(server, "://")
		switch {
		case !found:
			scheme, rest = "", server
		case !natsScheme.MatchString(strings.TrimSpace(scheme)):
			return Hidden
		default:
			scheme += "://"
		}
		before := signsIn
		if signsIn = strings.Contains(rest, "@"); signsIn && i > 0 && (!found || !before) {
			return Hidden
		}
		if servers[i] = redactURL(scheme, rest, natsRest, hidePasswordOrToken); servers[i] == Hidden {
			return Hidden
		}
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

// redactURL replaces the secrets in the rest of one URL. User information ends at the first "@"
// before the first "/", as in libpq and pgx. What follows must have a form; otherwise a password
// may not have been encoded, its end cannot be known, and everything is hidden.
func redactURL(scheme, rest string, form *regexp.Regexp, hideUserinfo func(string) string) string {
	leading := rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))]
	rest = rest[len(leading):]
	userinfo := ""
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		userinfo, rest = hideUserinfo(rest[:i])+"@", rest[i+1:]
	}
	place := strings.TrimRight(rest, " \t")
	if strings.ContainsRune(place, '@') || !form.MatchString(place) {
		return Hidden
	}
	return scheme + leading + userinfo + redactQuery(rest)
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

// redactQuery hides the parameters of a URL that are not known to hold no secret, also where a name
// is percent-encoded.
func redactQuery(rest string) string {
	path, query, found := strings.Cut(rest, "?")
	if !found {
		return rest
	}
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		name, text, _ := strings.Cut(parameter, "=")
		decoded, err := url.QueryUnescape(name)
		switch plain, errText := url.QueryUnescape(text); {
		case err != nil || !known(decoded) && !namesSecret(decoded):
			parameters[i] = Hidden
		case errText != nil || namesSecret(decoded) || !plainValue(decoded, plain):
			parameters[i] = name + "=" + Hidden
		}
	}
	return path + "?" + strings.Join(parameters, "&")
}

var (
	keywordValue     = regexp.MustCompile(`([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\']|\\.)*)`)
	keywordValueForm = regexp.MustCompile(`^\s*(?:` + keywordValue.String() + `\s*)+$`)
)

// redactKeywordValues hides the passwords of the keyword/value form. A value may be taken for
// another one where a blank or a quote is missing, so if any pair is odd, everything is hidden.
func redactKeywordValues(dsn string) string {
	if !keywordValueForm.MatchString(dsn) {
		return Hidden
	}
	odd := false
	shown := keywordValue.ReplaceAllStringFunc(dsn, func(pair string) string {
		match := keywordValue.FindStringSubmatch(pair)
		name, text := match[1], match[2]
		if namesSecret(name) {
			return name + "=" + Hidden
		}
		odd = odd || !known(name) || !plainValue(name, text)
		return pair
	})
	if odd {
		return Hidden
	}
	return shown
}

// knownParameters are the parameters of a connection string that hold no secret: those of libpq and
// of pgx, and settings of a session that are often given.
var knownParameters = strings.Fields(`
	host hostaddr port dbname database user connect_timeout client_encoding options application_name fallback_application_name
	keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout replication gssencmode krbsrvname
	sslmode sslnegotiation sslcompression sslcert sslkey sslrootcert sslcrl sslcrldir sslsni requirepeer channel_binding
	ssl_min_protocol_version ssl_max_protocol_version target_session_attrs load_balance_hosts require_auth service servicefile
	statement_cache_capacity description_cache_capacity default_query_exec_mode min_protocol_version max_protocol_version
	pool_max_conns pool_min_conns pool_min_idle_conns pool_max_conn_lifetime pool_max_conn_lifetime_jitter
	pool_max_conn_idle_time pool_health_check_period
	search_path timezone datestyle role statement_timeout lock_timeout idle_in_transaction_session_timeout
	idle_session_timeout transaction_timeout synchronous_commit default_transaction_read_only
	default_transaction_isolation work_mem`)

func known(parameter string) bool {
	return slices.Contains(knownParameters, strings.ToLower(parameter))
}

// plainValue tells whether the value of a known parameter has nothing in it that may belong to
// another one.
func plainValue(parameter, text string) bool {
	if strings.EqualFold(parameter, "options") {
		return !namesSecret(text)
	}
	if strings.EqualFold(parameter, "user") { // name@server, in some clouds
		text = strings.Replace(text, "@", "", 1)
	}
	return !strings.ContainsAny(text, "=@") && !strings.Contains(text, "://")
}

// namesSecret tells whether a parameter of a connection string, such as password or sslpassword, holds a secret.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}

var secretLike = regexp.MustCompile(`-----BEGIN|\bS[UAONCX][A-Z2-7]{56}\b|(?i:pass|pwd|secret|token)\w*\s*[=:]`)

// conceal returns the value of a setting that holds no secret, or [Hidden] if it looks as if it did
// nevertheless: a URL with a user, a key instead of the file that holds it.
func conceal(text string) string {
	_, rest, isURL := strings.Cut(text, "://")
	switch {
	case isURL && !plainURL.MatchString(text) && rest != "",
		strings.Contains(text, "@") && (!strings.HasPrefix(text, "/") || strings.Contains(text, ":")),
		secretLike.MatchString(text):
		return Hidden
	}
	return text
}

// concealAddress is conceal for hosts and addresses, where people write URLs with a password.
func concealAddress(text string) string {
	if text == "" || addressList.MatchString(text) || plainURL.MatchString(text) {
		return text
	}
	return Hidden
}

// concealPath is conceal for the path of a secret's file, in which a person may have put the secret
// itself: what is no file and lies in no folder of the machine is hidden.
func concealPath(path string) string {
	if path == "" || exists(path) {
		return path
	}
	if parts := strings.Split(filepath.Clean(path), "/"); len(parts) > 2 && parts[0] == "" && exists("/"+parts[1]) {
		return conceal(path)
	}
	return Hidden
}
