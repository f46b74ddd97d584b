package config

import "go.yaml.in/yaml/v3"

// setting is one value that somebody gave to a key, before it is understood.
type setting struct {
	key      key
	fromFile bool       // the value is the path of a file that holds the secret
	where    string     // file:line, a variable's name, or a flag
	text     string     // the value, where it is not a node
	node     *yaml.Node // the value as it stands in the YAML file; nil for a variable or a flag
}

// name returns the key as it was written, with its _file.
func (s setting) name() string {
	if s.fromFile {
		return s.key.name + fileSuffix
	}
	return s.key.name
}

// store puts the value into the target and reports whether it has the target's type.
func (s setting) store(target value) bool {
	if s.node != nil {
		return target.decode(s.node)
	}
	return target.parse(s.text)
}

// wrongType words the problem of a value that store refused.
func (s setting) wrongType(target value) Problem {
	allowed := target.form().sentence
	if h, ok := target.(hinter); ok && s.given() != "" {
		if hint := h.hintFor(s.given()); hint != "" {
			allowed += "; write " + hint
		}
	}
	return problemOf(s.where, s.name(), s.shown(), allowed)
}

// given returns the text of the value; empty if it is no scalar.
func (s setting) given() string {
	switch {
	case s.node == nil:
		return s.text
	case s.node.Kind == yaml.ScalarNode:
		return s.node.Value
	}
	return ""
}

func (s setting) shown() string {
	show := s.key.show
	if s.fromFile {
		show = quotePath
	}
	if s.node == nil {
		return show(s.text)
	}
	what := describe(s.node)
	if s.node.Kind != yaml.ScalarNode || s.node.ShortTag() == "!!null" || what == ownType {
		return what
	}
	return show(s.node.Value) + ", " + what
}

// layer is everything that one place says: the file, the environment, or the flags.
type layer struct {
	settings []setting
	present  []string // sections that are there, also without a key in them
	sources  []listed // the items of the list of sources
	problems []Problem
}

func (l *layer) refuse(where, key, text string) {
	l.problems = append(l.problems, Problem{Where: where, Key: key, Text: text})
}

// refuseDoubleSecrets adds a problem for every secret that one place gives twice, as itself and as a file.
func (l *layer) refuseDoubleSecrets() {
	first := map[string]setting{}
	for _, s := range l.settings {
		other, found := first[s.key.name]
		if !found {
			first[s.key.name] = s
			continue
		}
		l.refuse(s.where, s.name(), "is set beside "+other.name()+" ("+other.where+"); allowed: one of the two")
	}
}
