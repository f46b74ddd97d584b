package config

import (
	"errors"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// loader gathers one configuration from its layers: the whole, or that of one source over it.
type loader struct {
	source   string // the name of the source; empty for the whole
	prefix   string // of the names of its keys
	where    string // the place of the source in the file
	config   Config
	table    *keyTable
	file     string
	winners  map[string]setting // by key: the setting of the last layer that has one
	present  map[string]bool    // the sections that are configured
	problems []Problem
	faulty   map[string]bool // keys that have a problem already, so that their default is not judged in their place
	invalid  map[string]bool // keys whose section has refused them, so that no source refuses what it takes over
}

func newLoader() *loader {
	l := &loader{
		config:  DefaultConfig(),
		winners: map[string]setting{},
		present: map[string]bool{},
		faulty:  map[string]bool{},
		invalid: map[string]bool{},
	}
	l.table = newKeyTable(l.config.keys())
	return l
}

// apply takes over what a layer says. Every value is checked for its type, also one that a later layer replaces.
func (l *loader) apply(from layer) {
	l.problems = append(l.problems, from.problems...)
	for _, section := range from.present {
		l.present[strings.TrimPrefix(section, l.prefix)] = true
	}
	for _, s := range from.settings {
		l.present[s.key.section()] = true
		l.winners[s.key.name] = s
		if target := s.target(); !s.store(target) {
			l.problems = append(l.problems, s.wrongType(target))
			l.faulty[s.key.name] = true
		}
	}
}

// target returns what the value is stored in. The path of a secret's file is only checked here: readSecretFiles reads the one
// file that counts.
func (s setting) target() value {
	if s.fromFile {
		return textValue(new(string))
	}
	return s.key.field
}

// dropUnconfigured empties what chooses a broker in the sections that nobody mentioned.
func (l *loader) dropUnconfigured() {
	if !l.present["mq"] {
		l.config.MQ.NATSURL = ""
	}
	if !l.present["redis"] {
		l.config.Redis.Host = ""
	}
}

// validate asks every section what is wrong with its values.
func (l *loader) validate() {
	for _, section := range l.config.sections() {
		for _, err := range unjoin(section.validate()) {
			l.addInvalid(section.name, err)
		}
	}
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (l *loader) addInvalid(section string, err error) {
	field := (*relay.FieldError)(nil)
	if !errors.As(err, &field) {
		l.problems = append(l.problems, Problem{Key: section, Text: err.Error()})
		return
	}
	name := l.prefix + section + "." + field.Field
	k, _, found := l.table.find(name)
	_, given := l.winners[name]
	inherited := l.invalid[name] && !given
	l.invalid[name] = true
	switch {
	case inherited: // the whole has reported it
	case !found:
		l.problems = append(l.problems, Problem{Key: name, Text: "cannot be used; allowed: " + field.Allowed})
	case !l.faulty[name]:
		l.problems = append(l.problems, problemOf(l.origin(name), name, shownValue(k, field), field.Allowed))
	}
}

// shownValue words the value that a section refused. A section that has words for it, always without a secret, knows best; a number is
// shown as it was written, with its unit.
func shownValue(k key, refused *relay.FieldError) string {
	if words, ok := refused.Value.(string); ok {
		if k.redact == nil && conceal(strings.Trim(words, `"`)) == Hidden {
			return Hidden
		}
		return words
	}
	return k.show(k.field.text())
}

// refuseIdleTLS adds a problem where redis.tls.enabled is set to false beside a setting that means
// encryption. Only an explicit false is refused: without it the other settings switch encryption
// on.
func (l *loader) refuseIdleTLS() {
	name := l.prefix + "redis.tls.enabled"
	t := l.config.Redis.TLS
	if _, given := l.winners[name]; !given || t.Enabled || l.faulty[name] {
		return
	}
	for _, other := range []struct{ name, text string }{
		{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}, {"server_name", t.ServerName},
	} {
		if other.text != "" {
			text := "is false and redis.tls." + other.name + " is set, which means encryption; " +
				"allowed: true, or no other setting of redis.tls"
			l.problems = append(l.problems, Problem{Where: l.origin(name), Key: name, Text: text})
			return
		}
	}
}

// origin says where the value of a key came from.
func (l *loader) origin(name string) string {
	s, found := l.winners[name]
	switch {
	case !found:
		return fromDefault
	case s.fromFile:
		return s.where + ", file " + concealPath(s.path())
	}
	return s.where
}

// require refuses keys that are empty though they are needed.
func (l *loader) require(names []string) {
	for _, name := range names {
		name = l.prefix + name
		k, _, _ := l.table.find(name)
		if k.field.text() != "" || l.faulty[name] {
			continue
		}
		text := "is not set; set it in " + DefaultFile + ", as " + envName(name) + " or as --" + name
		if l.source != "" {
			text = "is not set; set it there or as " + envName(name)
		}
		l.problems = append(l.problems, Problem{Where: l.where, Key: name, Text: text})
	}
}

func (l *loader) settings() *Settings {
	s := &Settings{Config: l.config, File: l.file, origins: map[string]string{}, files: map[string]string{}}
	for name := range l.winners {
		s.takeOver(name, l)
	}
	return s
}

// takeOver notes where a loader has the value of a key from, by its plain name.
func (s *Settings) takeOver(name string, l *loader) {
	plain := strings.TrimPrefix(name, l.prefix)
	s.origins[plain] = l.origin(name)
	delete(s.files, plain)
	if winner := l.winners[name]; winner.fromFile {
		s.files[plain] = winner.path()
	}
}
