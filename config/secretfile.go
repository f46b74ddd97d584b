package config

import (
	"errors"
	"fmt"
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
			l.refuse(s, "is "+quotePath(s.path())+", which cannot be read: "+cause(err)+"; allowed: the path of a file that holds the secret")
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
	text, err := readSecretFile(s.path())
	if err == nil {
		s.key.field.parse(text)
	}
	return err
}

// readSecretFile returns the secret that a file holds.
func readSecretFile(path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecret:
		return "", errors.New("it holds more than 1 MiB")
	}
	return cutNewline(string(content)), nil
}

// openRegular opens a file that is no pipe, no device and no folder: those may keep a reader
// waiting, and have nothing to be read again.
func openRegular(path string) (*os.File, error) {
	if err := checkRegular(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file but " + kindOf(info.Mode()))
	}
	return err
}

func kindOf(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&os.ModeNamedPipe != 0:
		return "a pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// checkFiles adds a problem for each setting that names a file which cannot be one: it would keep a
// connection waiting for ever, or it is the key that was to be in the file. That a file is missing
// may pass.
func (l *loader) checkFiles() {
	for _, k := range l.table.keys {
		path := k.field.text()
		if !strings.HasSuffix(k.name, fileSuffix) || path == "" || l.faulty[k.name] {
			continue
		}
		what := "is " + k.show(path)
		switch err := checkRegular(path); {
		case conceal(path) == Hidden:
		case err == nil, isSystem(err):
			continue
		default:
			what += ", which cannot be read: " + err.Error()
		}
		l.faulty[k.name] = true
		what += "; allowed: the path of a regular file"
		l.problems = append(l.problems, Problem{Where: l.origin(k.name), Key: k.name, Text: what})
	}
}

// isSystem tells whether an error is what the operating system said of a file.
func isSystem(err error) bool { return errors.As(err, new(*os.PathError)) }

// Reread returns the configuration with the secrets of a section as their files hold them now: the section "postgres", "mq" or "redis".
// A secret that did not come from a file stays. The error names the file, and never a secret; try again later.
func (s *Settings) Reread(section string) (Config, error) {
	c := s.Config
	for _, k := range c.keys() {
		path, fromFile := s.files[k.name]
		if !fromFile || k.section() != section {
			continue
		}
		text, err := readSecretFile(path)
		if err == nil && text == "" && k.field.text() != "" {
			err = errors.New("it is empty") // it may just be written
		}
		if err != nil {
			return s.Config, fmt.Errorf("%s%s is %s, which cannot be read: %s; it is read at each connection",
				k.name, fileSuffix, quotePath(path), cause(err))
		}
		k.field.parse(text)
	}
	for _, used := range c.sections() {
		if used.name != section {
			continue
		}
		if err := used.validate(); err != nil {
			return s.Config, fmt.Errorf("the secrets of section %s were read again and cannot be used: %w", section, err)
		}
	}
	return c, nil
}

// cutNewline removes one newline at the end, which editors and shells add to what they write.
func cutNewline(text string) string {
	cut, newline := strings.CutSuffix(text, "\n")
	if newline {
		return strings.TrimSuffix(cut, "\r")
	}
	return text
}
