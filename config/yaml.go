package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// readYAML reads the settings of a file. What cannot be read at all is a problem of the layer like any other.
func (t *keyTable) readYAML(path string) layer {
	content, err := readConfigFile(path)
	if err != nil {
		return layer{problems: []Problem{{Where: conceal(path), Text: "cannot be read: " + cause(err)}}}
	}
	return t.parseYAML(path, content)
}

const (
	maxConfig   = 16 << 20         // bytes in a configuration file
	pipeTimeout = 10 * time.Second // for a writer of a pipe that is read as one
)

// readConfigFile reads a file, or what a program writes into a pipe (--config <(sops -d
// config.yaml)). A pipe without a writer is not waited for.
func readConfigFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()                   // it was only read
	_ = f.SetReadDeadline(time.Now().Add(pipeTimeout)) // an error means that it is no pipe
	content, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	info, statErr := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxConfig:
		return nil, errors.New("it holds more than 16 MiB")
	case len(content) == 0 && statErr == nil && info.Mode()&os.ModeNamedPipe != 0:
		return nil, errors.New("it is a pipe that nothing was written to")
	}
	return content, nil
}

// cause returns what the operating system said, without the path that the caller names anyway.
func cause(err error) string {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

func (t *keyTable) parseYAML(path string, content []byte) layer {
	w := walker{table: t, path: path}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return w.layer
	case err != nil:
		w.layer.problems = append(w.layer.problems, syntaxProblem(path, err))
		return w.layer
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		w.layer.refuse(path, "", "holds more than one document; allowed: one, without a line ---")
	}
	w.root(document.Content[0])
	w.layer.refuseDoubleSecrets()
	return w.layer
}

var (
	syntaxErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	anchorName      = regexp.MustCompile(`anchor '.*'`)
)

// syntaxProblem places an error of the YAML parser. The parser counts the lines of its own errors ("did not find expected key")
// from 0, those of its scanner from 1. The name of an anchor is left out: it may be a password that begins with "*".
func syntaxProblem(path string, err error) Problem {
	match := syntaxErrorLine.FindStringSubmatch(err.Error())
	if match == nil {
		return Problem{Where: path, Text: "is not valid YAML"}
	}
	text := anchorName.ReplaceAllString(strings.TrimPrefix(err.Error(), match[0]), "anchor")
	where := path
	if line, err := strconv.Atoi(match[1]); err == nil {
		if strings.HasPrefix(text, "did not find expected") {
			line++
		}
		where = fmt.Sprintf("%s:%d", path, line)
	}
	return Problem{Where: where, Text: "is not valid YAML: " + text}
}

// walker turns the nodes of one document, or of one source in it, into settings.
type walker struct {
	table *keyTable
	path  string
	known string // a key that was read before; empty for none
	layer layer
}

func (w *walker) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", w.path, node.Line) }

func (w *walker) root(node *yaml.Node) {
	switch node = resolve(node); {
	case isNull(node):
	case node.Kind == yaml.MappingNode:
		w.mapping("", node)
	default:
		w.layer.refuse(w.at(node), "", "the file is "+describe(node)+"; allowed: a mapping such as mq: {nats_url: ...}")
	}
}

// foreignPrefix begins the top-level keys that are not ours: places for anchors, as in Compose
// files.
const foreignPrefix = "x-"

// mapping walks the pairs of a section; prefix is its name with a dot, or empty for the whole file.
func (w *walker) mapping(prefix string, node *yaml.Node) {
	lines := map[string]int{}
	doubt := false // whether a key in braces may be a part of a secret that was to be quoted
	pairs, wrong := pairsOf(node)
	for _, merge := range wrong {
		w.layer.refuse(w.at(merge), prefix+mergeKey, "is "+describe(resolve(merge))+"; allowed: an alias of a mapping such as *shared, or a list of them")
	}
	for _, p := range pairs {
		full := prefix + p.name.Value
		if prefix == "" && strings.HasPrefix(full, foreignPrefix) {
			continue
		}
		doubt = doubt || p.flow && isNull(p.value) && !w.table.parts[full]
		shown := w.shownKey(prefix, p.name.Value, p.flow && doubt)
		if line, twice := lines[p.name.Value]; twice {
			w.layer.refuse(w.at(p.name), shown, fmt.Sprintf("is set twice, first in line %d; allowed: once", line))
			continue
		}
		lines[p.name.Value] = p.name.Line
		w.pair(full, shown, p.name, p.value)
		k, fromFile, found := w.table.find(full)
		doubt = doubt || found && mayBreakOff(k, fromFile, p.value) || !found && !w.table.parts[full] && full != w.known
	}
}

// mayBreakOff tells whether a value may be the beginning of a secret that a comma has cut in two.
func mayBreakOff(k key, fromFile bool, value *yaml.Node) bool {
	if fromFile {
		return concealPath(value.Value) == Hidden
	}
	return k.secret() || k.hide(value.Value) == Hidden
}

// plainKey matches what may be shown of a key that is not known.
var plainKey = regexp.MustCompile(`^[A-Za-z_<][A-Za-z0-9_.<-]{0,39}$`)

// shownKey returns a key as a problem may name it. What is not known may be a part of a secret: of
// a value that stands beside its colon without a blank, or that has a comma and no quotes.
func (w *walker) shownKey(prefix, name string, doubt bool) string {
	full := prefix + name
	if _, _, found := w.table.find(full); found || w.table.parts[full] || full == w.known {
		return full
	}
	if plainKey.MatchString(name) && (!doubt || w.table.suggest(full) != "") {
		return full
	}
	begin := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && r != '_'
	})
	if begin > 0 {
		if _, _, found := w.table.find(prefix + name[:begin]); found {
			return prefix + name[:begin] + Hidden
		}
	}
	return prefix + Hidden
}

func (w *walker) pair(full, shown string, name, value *yaml.Node) {
	k, fromFile, found := w.table.find(full)
	switch {
	case full == sourcesKey:
		w.list(name, value)
	case full == w.known:
	case found:
		w.layer.settings = append(w.layer.settings,
			setting{key: k, fromFile: fromFile, where: w.at(name), node: value})
	case !w.table.parts[full]:
		w.unknown(full, shown, name)
	case isNull(value):
		w.layer.present = append(w.layer.present, full)
	case value.Kind == yaml.MappingNode:
		w.layer.present = append(w.layer.present, full)
		w.mapping(full+".", value)
	default:
		w.layer.refuse(w.at(name), full, "is "+describe(value)+"; allowed: a section, a mapping of keys to values")
	}
}

func (w *walker) unknown(full, shown string, name *yaml.Node) {
	hint := didYouMean(w.table.suggest(full))
	if strings.HasSuffix(shown, Hidden) {
		hint = "; write a blank behind the colon of a key, and quotes around a value with a comma, a colon or a quote"
	}
	w.layer.refuse(w.at(name), shown, "is not a known key"+hint)
}

func didYouMean(guess string) string {
	if guess == "" {
		return "; `outbox-relay config print --defaults` lists all"
	}
	return "; did you mean " + guess + "?"
}

// resolve follows an alias to the node it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// ownType describes a value with a tag that is not known. It may be a part of a secret that begins
// with "!".
const ownType = "a value with a type of its own"

// describe says in words what kind of value a node is.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	words := map[string]string{
		"!!null": "without a value", "!!bool": "a truth value", "!!int": "a number", "!!float": "a number",
		"!!str": "a text", "!!timestamp": "a date",
	}
	if word, found := words[node.ShortTag()]; found {
		return word
	}
	return ownType
}
