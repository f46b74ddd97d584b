package config

import (
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as YAML with every secret hidden. A comment behind each value says where it came from. Of a source
// that is listed it writes what differs from the sections above.
func (s *Settings) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range s.Config.keys() {
		insert(root, strings.Split(k.name, "."), s.node(k))
	}
	if len(s.sources) > 0 {
		root.Content = append(root.Content, yamlName(sourcesKey), &yaml.Node{Kind: yaml.SequenceNode})
		list := root.Content[len(root.Content)-1]
		for _, source := range s.sources {
			list.Content = append(list.Content, source.item())
		}
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return err
	}
	return encoder.Close()
}

// node returns a value as it may be shown to anyone.
func (s *Settings) node(k key) *yaml.Node {
	node := k.field.node()
	if text := k.field.text(); k.secret() || k.hide(text) != text {
		node = &yaml.Node{Kind: yaml.ScalarNode}
		node.SetString(k.hide(text))
	}
	node.LineComment = s.Origin(k.plain())
	return node
}

// item returns what a source sets itself.
func (s *Settings) item() *yaml.Node {
	item := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{yamlName(nameKey), textValue(&s.Source).node()}}
	for _, k := range s.Config.sourceKeys() {
		if s.own[k.name] {
			insert(item, strings.Split(k.name, "."), s.node(k))
		}
	}
	return item
}

// Show returns a key with its value, secrets hidden, and the place that it came from, for an error that a person reads:
// "postgres.url is postgres://relay:[hidden]@db/game (config.yaml:2)". A key that a source sets itself is shown as sources.eu.postgres.url.
func (s *Settings) Show(name string) string {
	k, _, found := newKeyTable(s.Config.keys()).find(name)
	if !found {
		return name
	}
	shown := name
	if s.own[name] {
		shown = sourcePrefix(s.Source) + name
	}
	return shown + " is " + k.show(k.field.text()) + " (" + s.Origin(name) + ")"
}

// insert puts a value at a path of mappings. Keys that follow each other in the table share their mappings.
func insert(mapping *yaml.Node, path []string, value *yaml.Node) {
	if len(path) == 1 {
		mapping.Content = append(mapping.Content, yamlName(path[0]), value)
		return
	}
	last := len(mapping.Content) - 1
	if last < 0 || mapping.Content[last-1].Value != path[0] {
		mapping.Content = append(mapping.Content, yamlName(path[0]), &yaml.Node{Kind: yaml.MappingNode})
		last += 2
	}
	insert(mapping.Content[last], path[1:], value)
}

func yamlName(name string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: name} }
