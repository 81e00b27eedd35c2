// Package checkout finds the checkout that the tools of this module work on.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Root returns the directory of the library's module, by which this module's go.mod
// replaces it. The working directory must be in this module, and GOWORK
// must be off.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/godscp/godscp").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("go list -m github.com/godscp/godscp: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Workspace returns the environment for commands that use go.work, and so the
// library and the examples together.
func Workspace() []string { return append(os.Environ(), "GOWORK=") }
