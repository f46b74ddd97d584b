package config

import (
	"os"

	"github.com/spf13/pflag"
)

// DefaultFile is the file that is read from the working directory when no other is named.
const DefaultFile = "config.yaml"

// Source says where [Load] reads.
type Source struct {
	// File is the YAML file. Empty means [DefaultFile], which may be missing; a file that is named must exist.
	File string
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// Flags are the parsed flags of [AddFlags]. Nil means none.
	Flags *pflag.FlagSet
	// Required names keys that must not be empty, such as "postgres.url".
	Required []string
}

// Settings is a configuration together with where each value came from: the whole, or what holds for one source, see
// [Settings.Sources].
type Settings struct {
	Config Config
	// File is the file that was read; empty if there was none.
	File string
	// Source is the name of the source that these are the settings of; empty for the whole.
	Source string

	origins map[string]string // by key; a key that is missing has its default
	files   map[string]string // by key: the file that its secret came from
	own     map[string]bool   // the keys that the source sets itself
	sources []*Settings       // of the whole: the sources that are listed
}

// fromDefault is the origin of a value that nobody set.
const fromDefault = "default"

// Origin says where the value of a key came from: "config.yaml:3", "OUTBOX_MQ_NATS_URL", "--mq.nats_url" or "default".
func (s *Settings) Origin(key string) string {
	if origin, found := s.origins[key]; found {
		return origin
	}
	return fromDefault
}

// Load reads the configuration. Its error is an [*Error] with every problem at once.
func Load(src Source) (*Settings, error) {
	l := newLoader()
	l.file = src.File
	if l.file == "" && exists(DefaultFile) {
		l.file = DefaultFile
	}
	var file layer
	if l.file != "" {
		file = l.table.readYAML(l.file)
		l.apply(file)
	}
	l.apply(l.table.readEnviron(src.Environ))
	l.apply(l.table.readFlags(src.Flags))
	l.readSecretFiles()
	l.checkFiles()
	l.refuseIdleTLS()
	l.dropUnconfigured()
	l.validate()
	sources := l.loadSources(file.sources, src)
	if !l.present[sourcesKey] {
		l.require(src.Required)
	}
	if len(l.problems) > 0 {
		sortProblems(l.problems, l.file)
		return nil, &Error{Problems: l.problems}
	}
	settings := l.settings()
	for _, source := range sources {
		settings.sources = append(settings.sources, source.settingsOver(settings))
	}
	return settings, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
