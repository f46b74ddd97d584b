package config

import (
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as YAML with every secret hidden. A comment behind each value says where it came from.
func (s *Settings) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range s.Config.keys() {
		node := k.field.node()
		if k.secret() {
			node.SetString(k.redact(k.field.text()))
		}
		node.LineComment = s.Origin(k.name)
		insert(root, strings.Split(k.name, "."), node)
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return err
	}
	return encoder.Close()
}

// Show returns a key with its value, secrets hidden, and the place that it came from, for an error that a person reads:
// "postgres.url is postgres://relay:[hidden]@db/game (config.yaml:2)".
func (s *Settings) Show(name string) string {
	k, _, found := newKeyTable(s.Config.keys()).find(name)
	if !found {
		return name
	}
	return name + " is " + k.show(k.field.text()) + " (" + s.Origin(name) + ")"
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
