package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultSource is the name of the one source of a configuration that lists none.
const DefaultSource = "default"

const (
	sourcesKey = "sources" // the list of sources in the file
	nameKey    = "name"    // the name of a source in its item
	maxSource  = 32        // bytes in the name of a source
)

// sourceName is what a source may be named: it becomes part of variables, metrics and log lines.
var sourceName = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{1,%d}$`, maxSource))

// sourcePrefix begins the names of the keys of a source.
func sourcePrefix(name string) string { return sourcesKey + "." + name + "." }

// listed is an item of the list of sources, before it is understood.
type listed struct {
	name  string // as problems and keys name it: its name, or its place in the list where that cannot be used
	where string // file:line
	node  *yaml.Node
}

// Sources returns the settings of each source, in the order of the list: the sections of the whole, with what the source sets itself in
// their place. A configuration that lists none has one, named [DefaultSource].
func (s *Settings) Sources() []*Settings {
	if len(s.sources) > 0 {
		return s.sources
	}
	one := *s
	one.Source = DefaultSource
	return []*Settings{&one}
}

// list reads the list of sources.
func (w *walker) list(name, value *yaml.Node) {
	w.layer.present = append(w.layer.present, sourcesKey)
	const allowed = "; allowed: a list of one or more sources such as - {name: eu, postgres: {url: ...}}"
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		what := "is " + describe(value)
		if value.Kind == yaml.SequenceNode {
			what = "is empty"
		}
		w.layer.refuse(w.at(name), sourcesKey, what+allowed)
		return
	}
	lines := map[string]int{} // by the name as variables have it
	for i, item := range value.Content {
		item = resolve(item)
		source := listed{name: fmt.Sprintf("%d", i+1), where: w.at(value.Content[i]), node: item}
		if item.Kind != yaml.MappingNode {
			w.layer.refuse(source.where, sourcesKey+"."+source.name, "is "+describe(item)+"; allowed: a source such as {name: eu, postgres: {url: ...}}")
			continue
		}
		if given, ok := w.nameOf(item, &source, lines); ok {
			source.name = given
		}
		w.layer.sources = append(w.layer.sources, source)
	}
}

// nameOf returns the name of a source, unless it cannot be used.
func (w *walker) nameOf(item *yaml.Node, source *listed, lines map[string]int) (name string, ok bool) {
	key := sourcePrefix(source.name) + nameKey
	node := pairOf(item, nameKey)
	if node == nil {
		w.layer.refuse(source.where, key, "is not set; every source needs a name")
		return "", false
	}
	where := w.at(node)
	if !textValue(&name).decode(node) || !sourceName.MatchString(name) {
		w.layer.refuse(where, key, fmt.Sprintf("is %s; allowed: 1 to %d letters, digits, - and _; in YAML, a number needs quotes to be a text",
			setting{node: node}.shown(), maxSource))
		return "", false
	}
	if line, twice := lines[envName(name)]; twice {
		w.layer.refuse(where, key, fmt.Sprintf("is %s; allowed: a name that differs from that of line %d by more than case, - and _", name, line))
		return "", false
	}
	lines[envName(name)] = node.Line
	return name, true
}

// pairOf returns the value of a key in a mapping; nil if there is none.
func pairOf(mapping *yaml.Node, name string) *yaml.Node {
	pairs, _ := pairsOf(mapping) // what is wrong with them is reported when the source is read
	for _, p := range pairs {
		if p.name.Value == name {
			return p.value
		}
	}
	return nil
}

// loadSources gathers the configuration of each source that the file lists, and adds their problems. It must come after everything that
// the sources take over.
func (l *loader) loadSources(items []listed, src Source) []*loader {
	var sources []*loader
	var tables []*keyTable
	for _, item := range items {
		s := l.newSource(item)
		s.apply(s.readItem(item.node))
		s.apply(s.table.readEnviron(src.Environ))
		s.readSecretFiles()
		s.checkFiles()
		s.refuseIdleTLS()
		sources, tables = append(sources, s), append(tables, s.table)
	}
	shareDefaultNATS(sources)
	for _, s := range sources {
		s.dropUnconfigured()
		s.validate()
		s.require(src.Required)
		l.problems = append(l.problems, s.problems...)
	}
	l.apply(l.table.refuseUnknown(src.Environ, tables))
	l.refuseBoth(sources)
	l.refuseSameDatabase(sources)
	return sources
}

// shareDefaultNATS makes the sources without a broker use NATS at its default address, if another
// source does: one that sets mq.stream_name alone, for instance, takes mq.nats_url over from the
// whole, and so does one that sets nothing.
func shareDefaultNATS(sources []*loader) {
	usesDefault := func(s *loader) bool {
		_, given := s.winners[s.prefix+"mq.nats_url"]
		return s.present["mq"] && !given
	}
	if !slices.ContainsFunc(sources, usesDefault) {
		return
	}
	for _, s := range sources {
		s.present["mq"] = s.present["mq"] || !s.present["redis"]
	}
}

// newSource returns the loader of a source, which begins with what the whole says.
func (l *loader) newSource(item listed) *loader {
	s := newLoader()
	s.source, s.prefix, s.where, s.file = item.name, sourcePrefix(item.name), item.where, l.file
	s.config = l.config
	s.config.Postgres.URL = ""
	defaults := DefaultConfig() // for a broker that only the source configures
	if !l.present["mq"] {
		s.config.MQ.NATSURL = defaults.MQ.NATSURL
	}
	if !l.present["redis"] {
		s.config.Redis.Host = defaults.Redis.Host
	}
	keys := s.config.sourceKeys()
	for i := range keys {
		keys[i].prefix, keys[i].name = s.prefix, s.prefix+keys[i].name
	}
	s.table = newKeyTable(keys)
	s.present = maps.Clone(l.present)
	for name := range l.invalid {
		s.invalid[s.prefix+name] = true
	}
	return s
}

// readItem reads what a source sets in the file.
func (l *loader) readItem(node *yaml.Node) layer {
	w := walker{table: l.table, path: l.file, known: l.prefix + nameKey}
	w.mapping(l.prefix, node)
	w.layer.refuseDoubleSecrets()
	return w.layer
}

// refuseBoth adds a problem if there is a list of sources beside the simple form.
func (l *loader) refuseBoth(sources []*loader) {
	const simple = "postgres.url"
	if len(sources) == 0 || l.config.Postgres.URL == "" {
		return
	}
	l.problems = append(l.problems, Problem{Where: l.origin(simple), Key: simple,
		Text: "is set beside " + sourcesKey + " (" + sources[0].where + "); allowed: one of the two"})
}

// refuseSameDatabase adds a problem for a source with the database of another one: they would lead it in turn.
func (l *loader) refuseSameDatabase(sources []*loader) {
	first := map[string]string{} // the key by its value
	for _, s := range sources {
		key := s.prefix + "postgres.url"
		url := s.config.Postgres.URL
		if other, twice := first[url]; twice && url != "" {
			l.problems = append(l.problems, Problem{Where: s.origin(key), Key: key, Text: "is the same as " + other + "; allowed: a database of its own"})
		}
		first[url] = key
	}
}

// settingsOver returns the settings of a source, over those of the whole.
func (l *loader) settingsOver(whole *Settings) *Settings {
	s := &Settings{
		Config: l.config, File: l.file, Source: l.source, origins: maps.Clone(whole.origins), files: maps.Clone(whole.files), own: map[string]bool{},
	}
	for name := range l.winners {
		s.takeOver(name, l)
		s.own[strings.TrimPrefix(name, l.prefix)] = true
	}
	// A broker that the whole does not use has its default address here.
	s.own["mq.nats_url"] = s.own["mq.nats_url"] || l.config.MQ.NATSURL != whole.Config.MQ.NATSURL
	s.own["redis.host"] = s.own["redis.host"] || l.config.Redis.Host != whole.Config.Redis.Host
	return s
}
