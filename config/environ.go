package config

import (
	"regexp"
	"slices"
	"strings"
)

// readEnviron reads the settings of the environment, given as os.Environ gives it.
func (t *keyTable) readEnviron(environ []string) layer {
	var l layer
	byVariable := map[string]string{}
	for _, name := range t.names {
		byVariable[envName(name)] = name
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		variable, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(strings.ToUpper(variable), envPrefix) || isServiceLink(variable, text) {
			continue
		}
		if name, found := byVariable[variable]; found {
			k, fromFile, _ := t.find(name)
			l.settings = append(l.settings, setting{key: k, fromFile: fromFile, where: variable, text: text})
			continue
		}
		t.refuseUnknownVariable(&l, variable)
	}
	l.refuseDoubleSecrets()
	return l
}

// refuseUnknownVariable adds a problem if the variable can only have been meant for us.
func (t *keyTable) refuseUnknownVariable(l *layer, variable string) {
	if strings.HasPrefix(variable, envPrefix+"TEST_") || strings.HasSuffix(variable, "_IMAGE") {
		return // for the project's tests and for compose.yaml
	}
	variables := make([]string, len(t.names))
	for i, name := range t.names {
		variables[i] = envName(name)
	}
	guess := Nearest(variable, variables)
	if guess == "" && !t.inSection(variable) {
		return
	}
	l.refuse(variable, "", "is not a known variable"+didYouMean(guess))
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
