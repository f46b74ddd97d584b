package config

import "go.yaml.in/yaml/v3"

// mergeKey is the key of YAML that takes over the pairs of other mappings. Source:
// https://yaml.org/type/merge.html
const mergeKey = "<<"

// pair is a key of a mapping with its value, aliases followed.
type pair struct {
	name, value *yaml.Node
	flow        bool // the mapping is written in braces
}

// pairsOf returns the pairs of a mapping: its own, also one that is written twice, and then those
// of the mappings that its merge keys name, unless it has the key already; of several mappings the
// first one counts. wrong are values of merge keys that name no mapping.
func pairsOf(mapping *yaml.Node) (pairs []pair, wrong []*yaml.Node) {
	m := merger{seen: map[*yaml.Node]bool{}, keys: map[string]bool{}}
	m.add(mapping)
	return m.pairs, m.wrong
}

// merger gathers the pairs of one mapping. A mapping that was seen adds nothing more, so a mapping
// that names itself is no trap.
type merger struct {
	pairs []pair
	wrong []*yaml.Node
	seen  map[*yaml.Node]bool
	keys  map[string]bool // of the mappings that were added before
}

func (m *merger) add(mapping *yaml.Node) {
	if m.seen[mapping] {
		return
	}
	m.seen[mapping] = true
	var merges []*yaml.Node
	own := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case name.ShortTag() == "!!merge":
			merges = append(merges, value)
		case !m.keys[name.Value]:
			own[name.Value] = true
			m.pairs = append(m.pairs, pair{name: name, value: resolve(value), flow: mapping.Style&yaml.FlowStyle != 0})
		}
	}
	for name := range own {
		m.keys[name] = true
	}
	for _, value := range merges {
		m.merge(value)
	}
}

// merge adds the mapping, or the list of mappings, that a merge key names.
func (m *merger) merge(value *yaml.Node) {
	items := []*yaml.Node{value}
	if list := resolve(value); list.Kind == yaml.SequenceNode {
		items = list.Content
	}
	for _, item := range items {
		if mapping := resolve(item); mapping.Kind == yaml.MappingNode {
			m.add(mapping)
			continue
		}
		m.wrong = append(m.wrong, item)
	}
}
