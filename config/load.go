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

// Settings is a configuration together with where each value came from.
type Settings struct {
	Config Config
	// File is the file that was read; empty if there was none.
	File string

	origins map[string]string // by key; a key that is missing has its default
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
	if l.file != "" {
		l.apply(l.table.readYAML(l.file))
	}
	l.apply(l.table.readEnviron(src.Environ))
	l.apply(l.table.readFlags(src.Flags))
	l.readSecretFiles()
	l.dropUnconfigured()
	l.validate()
	l.require(src.Required)
	if len(l.problems) > 0 {
		sortProblems(l.problems, l.file)
		return nil, &Error{Problems: l.problems}
	}
	return l.settings(), nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
