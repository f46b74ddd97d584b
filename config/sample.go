package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

const sampleHead = `# Configuration of outbox-relay.
#
# Lines that begin with "# " explain, lines that begin with "#" are settings with their defaults: remove that "#", and the one
# of the section above, to change a setting. Every setting can also be given as a variable (OUTBOX_ and the key in capitals,
# mq.nats_url is OUTBOX_MQ_NATS_URL) or as a flag (--mq.nats_url), which win over this file. A key marked "secret" can be read
# from a file instead, by its name with _file at the end.
`

const sampleSources = `
# Several databases in one relay; postgres.url is left out then. A source has a name of letters, digits, - and _, and may set any key of
# postgres, mq, redis, failover and relay; what it does not set it takes from the sections above. A variable changes a key of a
# source that is listed here: OUTBOX_SOURCES_US_WEST_MQ_STREAM_NAME is mq.stream_name of the source us-west. There are no
# flags for that.
# sources:
#   - name: eu
#     postgres: {url_file: /run/secrets/eu}
#   - name: us-west
#     postgres: {url_file: /run/secrets/us-west}
#     mq: {stream_name: us-west-events, subjects: ["us-west.>"]}
`

// WriteSample writes a configuration file with every key, what it is for, and its default. Every setting in it is
// commented out, so that it changes nothing as it stands.
func WriteSample(w io.Writer) error {
	c := DefaultConfig()
	s := sample{}
	s.WriteString(sampleHead)
	for _, k := range c.keys() {
		s.add(k)
	}
	s.WriteString(sampleSources)
	_, err := io.WriteString(w, s.String())
	return err
}

// sample is the text of the sample and the section it is in.
type sample struct {
	strings.Builder
	section []string
}

func (s *sample) add(k key) {
	path := strings.Split(k.name, ".")
	s.enter(path[:len(path)-1])
	indent := strings.Repeat("  ", len(path)-1)
	help := k.help
	if k.secret() {
		help += " (secret)"
	}
	for _, line := range wrap(help, 110) {
		fmt.Fprintf(s, "%s# %s\n", indent, line)
	}
	fmt.Fprintf(s, "%s#%s: %s\n", indent, path[len(path)-1], inline(k.field))
}

// enter opens the sections down to path that are not open yet.
func (s *sample) enter(path []string) {
	common := 0
	for common < len(path) && common < len(s.section) && path[common] == s.section[common] {
		common++
	}
	for depth := common; depth < len(path); depth++ {
		if depth == 0 {
			fmt.Fprintf(s, "\n# %s\n", sectionHelp[path[0]])
		}
		fmt.Fprintf(s, "%s#%s:\n", strings.Repeat("  ", depth), path[depth])
	}
	s.section = path
}

// inline returns a value as it stands behind its key in YAML.
func inline(field value) string {
	text, err := yaml.Marshal(field.node())
	if err != nil {
		panic(err) // the nodes of our own values are always valid
	}
	return strings.TrimSpace(string(text))
}

// wrap breaks a text between words into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
