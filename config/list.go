package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// listValue is a list of texts: a sequence in YAML, separated by commas elsewhere.
type listValue struct{ at *[]string }

func (l listValue) parse(text string) bool {
	*l.at = nil
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l.at = append(*l.at, item)
		}
	}
	return true
}

func (l listValue) decode(node *yaml.Node) bool {
	if node.Kind != yaml.SequenceNode {
		return false
	}
	var items []string // nil where there is none, as parse has it
	for _, node := range node.Content {
		var item string
		if !textValue(&item).decode(resolve(node)) {
			return false
		}
		items = append(items, item)
	}
	*l.at = items
	return true
}

func (l listValue) text() string { return strings.Join(*l.at, ",") }

func (l listValue) node() *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, item := range *l.at {
		node.Content = append(node.Content, textValue(&item).node())
	}
	return node
}

func (l listValue) form() form {
	return form{"list", `a list of texts: in YAML ["a", "b"], elsewhere a,b`}
}
