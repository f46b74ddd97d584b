package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// variables returns the names of the table by the variables that set them.
func (t *keyTable) variables() map[string]string {
	byVariable := map[string]string{}
	for _, name := range t.names {
		byVariable[envName(name)] = name
	}
	return byVariable
}

// readEnviron reads the settings of the environment, given as os.Environ gives it. Variables that are not in the table are left alone,
// see [keyTable.refuseUnknown].
func (t *keyTable) readEnviron(environ []string) layer {
	var l layer
	byVariable := t.variables()
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		variable, text, _ := strings.Cut(entry, "=")
		name, found := byVariable[variable]
		if !found || isServiceLink(variable, text) {
			continue
		}
		k, fromFile, _ := t.find(name)
		l.settings = append(l.settings, setting{key: k, fromFile: fromFile, where: variable, text: cutNewline(text)})
	}
	l.refuseDoubleSecrets()
	return l
}

// refuseUnknown returns a problem for every variable that can only have been meant for us and is in no table: neither in this one, nor
// in that of a source.
func (t *keyTable) refuseUnknown(environ []string, sources []*keyTable) (l layer) {
	known := t.variables()
	for _, source := range sources {
		maps.Copy(known, source.variables())
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		variable, text, _ := strings.Cut(entry, "=")
		_, found := known[variable]
		if found || !strings.HasPrefix(strings.ToUpper(variable), envPrefix) || isServiceLink(variable, text) {
			continue
		}
		if strings.HasPrefix(variable, envPrefix+"TEST_") || strings.HasSuffix(variable, "_IMAGE") {
			continue // for the project's tests and for compose.yaml
		}
		guess := Nearest(variable, slices.Sorted(maps.Keys(known)))
		switch {
		case guess == "" && strings.HasPrefix(strings.ToUpper(variable), envName(sourcesKey)+"_"):
			l.refuse(variable, "", "is a setting of no source; the sources are those that the file lists")
		case guess != "" || t.inSection(variable):
			l.refuse(variable, "", "is not a known variable"+didYouMean(guess))
		}
	}
	return l
}

// inSection tells whether a variable begins like the variables of a section, such as OUTBOX_MQ_.
func (t *keyTable) inSection(variable string) bool {
	return slices.ContainsFunc(t.keys, func(k key) bool {
		return strings.HasPrefix(strings.ToUpper(variable), envName(k.section())+"_")
	})
}

// serviceLink matches the variables that Kubernetes and Docker links make for a service, except NAME_PORT.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isServiceLink tells whether Kubernetes made the variable for a service. A service named outbox-redis gives every pod of its
// namespace OUTBOX_REDIS_PORT=tcp://10.0.0.1:6379, which is not meant for us, though redis.port has that very name.
// Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
func isServiceLink(variable, text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	address := found && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
	return serviceLink.MatchString(variable) || address && strings.HasSuffix(variable, "_PORT")
}
