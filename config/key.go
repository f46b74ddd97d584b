package config

import "strings"

// envPrefix begins the name of every variable of outbox-relay.
const envPrefix = "OUTBOX_"

// fileSuffix turns the key of a secret into the key that names a file which holds the secret.
const fileSuffix = "_file"

// key is one setting: its name, what it is for, and the field that it sets.
type key struct {
	name   string // such as "mq.nats_url", or "sources.eu.mq.nats_url" for that of one source
	prefix string // of the name: "sources.eu." for a setting of one source, else empty
	help   string
	field  value
	redact func(string) string // hides what is secret in the value; nil if the value may be shown
	unsure func(string) string // hides a value that may have become a secret by mistake; nil means conceal
}

// plain returns the name without its prefix.
func (k key) plain() string { return k.name[len(k.prefix):] }

// section returns the part of the plain name before the first dot.
func (k key) section() string {
	section, _, _ := strings.Cut(k.plain(), ".")
	return section
}

// secret tells whether the value is or may hold a secret, so that it may also be read from a file.
func (k key) secret() bool { return k.redact != nil }

// show returns a text given for the key as it may be shown to anyone.
func (k key) show(text string) string { return quote(k.hide(text)) }

// hide returns a text given for the key without any secret.
func (k key) hide(text string) string {
	switch {
	case k.redact != nil:
		return k.redact(text)
	case k.unsure != nil:
		return k.unsure(text)
	}
	return conceal(text)
}

// envName returns the variable that sets the key of this name.
func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// keyTable finds keys by the names that a person may write.
type keyTable struct {
	keys   []key
	byName map[string]int  // also the names that end in _file
	names  []string        // every name, in the order of the table
	parts  map[string]bool // every section, also inner ones such as "mq.tls"
}

func newKeyTable(keys []key) *keyTable {
	t := &keyTable{keys: keys, byName: map[string]int{}, parts: map[string]bool{}}
	for i, k := range keys {
		t.add(k.name, i)
		if k.secret() {
			t.add(k.name+fileSuffix, i)
		}
	}
	return t
}

func (t *keyTable) add(name string, index int) {
	t.byName[name] = index
	t.names = append(t.names, name)
	for i, r := range name {
		if r == '.' {
			t.parts[name[:i]] = true
		}
	}
}

// find returns the key of this name, and whether the name is that of its file.
func (t *keyTable) find(name string) (k key, fromFile, found bool) {
	i, found := t.byName[name]
	if !found {
		return key{}, false, false
	}
	return t.keys[i], name != t.keys[i].name, true
}

// suggest words the guess at what was meant by an unknown name, or returns "". A key that sits in another section is found
// too, because that is the commonest slip.
func (t *keyTable) suggest(name string) string {
	candidates := append(make([]string, 0, len(t.names)+len(t.parts)), t.names...)
	for part := range t.parts {
		candidates = append(candidates, part)
	}
	if near := Nearest(name, candidates); near != "" {
		return near
	}
	leaf := name[strings.LastIndexByte(name, '.')+1:]
	for _, candidate := range t.names {
		if fold(candidate[strings.LastIndexByte(candidate, '.')+1:]) == fold(leaf) {
			return candidate
		}
	}
	return ""
}
