package config

import (
	"errors"
	"io"
	"os"
	"strings"
)

// readSecretFiles reads the secrets that are given as files, unless a later layer gives them otherwise.
func (l *loader) readSecretFiles() {
	for _, k := range l.table.keys {
		s, found := l.winners[k.name]
		if !found || !s.fromFile || l.faulty[k.name] {
			continue
		}
		if err := s.readSecret(); err != nil {
			l.refuse(s, "is "+quote(s.path())+", which cannot be read: "+cause(err)+"; allowed: the path of a file that holds the secret")
		}
	}
}

func (l *loader) refuse(s setting, text string) {
	l.faulty[s.key.name] = true
	l.problems = append(l.problems, Problem{Where: s.where, Key: s.name(), Text: text})
}

// path returns the path of the secret's file.
func (s setting) path() string {
	var path string
	s.store(textValue(&path))
	return path
}

// maxSecret bounds what is read of a secret's file, in bytes, in case it is no such file at all.
const maxSecret = 1 << 20

func (s setting) readSecret() error {
	f, err := os.Open(s.path())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return err
	case len(content) > maxSecret:
		return errors.New("it holds more than 1 MiB")
	}
	s.key.field.parse(cutNewline(string(content)))
	return nil
}

// cutNewline removes one newline at the end, which editors and shells add to what they write.
func cutNewline(text string) string {
	cut, newline := strings.CutSuffix(text, "\n")
	if newline {
		return strings.TrimSuffix(cut, "\r")
	}
	return text
}
