package checkout_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/proof/internal/checkout"
)

func TestRootIsTheLibrary(t *testing.T) {
	t.Parallel()
	root, err := checkout.Root(t.Context())
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(root, "dscp", "dialer.go"))
}

func TestWorkspaceHasTheExamples(t *testing.T) {
	t.Parallel()
	root, err := checkout.Root(t.Context())
	require.NoError(t, err)
	cmd := exec.Command("go", "list", "-m")
	cmd.Dir, cmd.Env = root, checkout.Workspace()
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, []string{"github.com/godscp/godscp", "github.com/godscp/godscp/examples"}, strings.Fields(string(out)))
}
