package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// image returns the name of an image that is present: of the default version, or of the one named. The first use on a
// machine may pull or build it, which takes minutes; 'make images' does the same beforehand.
func image(ctx context.Context, name, version string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	args := []string{name}
	if version != "" {
		args = append(args, version)
	}
	command := exec.CommandContext(ctx, filepath.Join(root, "deploy", "images", "image.sh"), args...)
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("no image of %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}
	return strings.TrimSpace(string(output)), nil
}

// moduleRoot returns the folder of go.mod; tests run in the folder of their package, somewhere below it.
var moduleRoot = sync.OnceValues(func() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("no go.mod above the working folder; run the tests inside the repository")
		}
		folder = parent
	}
})
