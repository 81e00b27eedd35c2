package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnknownModulesAreAnError(t *testing.T) {
	t.Parallel()
	known, err := requires([]byte("module a\nrequire b v1.0.0\nrequire c v1.0.0 // indirect\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{"b", "c"}, known)
	require.NoError(t, onlyKnown("x", paths("b v1.0.0\nc v1.0.0\n\nb v1.0.0"), known))
	require.ErrorContains(t, onlyKnown("x", paths("b v1.0.0\ne v1.0.0\n"), known), "must not bring e")
}

func TestGoModKeepsThePromise(t *testing.T) {
	t.Parallel()
	root := module{dir: ".", path: library, version: "v0.1.0"}
	good := "module " + library + "\nrequire (\n golang.org/x/net v0.57.0\n x.example/y v1.0.0 // indirect\n)\n"
	require.NoError(t, checkGoMod([]byte(good), root))
	for text, want := range map[string]string{
		"module " + library + "/examples\n":                          "is not that of",
		good + "require golang.org/x/crypto v0.56.0\n":               "must not bring golang.org/x/crypto",
		good + "replace golang.org/x/net => golang.org/x/net v1.0.0": "replacement",
		"module": "usage",
	} {
		assert.ErrorContains(t, checkGoMod([]byte(text), root), want)
	}
	examples := module{dir: "examples", path: library + "/examples"}
	require.NoError(t, checkGoMod([]byte("module "+library+"/examples\nrequire golang.org/x/crypto v0.56.0\n"), examples))
}

func TestProgramsOfAModule(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "", "p.go": "package p\n",
		"examples/go.mod": "", "examples/a/main.go": "package main\n", "examples/a/main_test.go": "package main\n",
		"examples/lib/lib.go": "package lib\n", "examples/b/cmd/c/main.go": "package main\n",
		"examples/internal/d/main.go": "package main\n", "examples/testdata/e/main.go": "package main\n",
		"examples/f/go.mod": "", "examples/f/main.go": "package main\n",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	got, err := module{dir: "examples"}.programs(root)
	require.NoError(t, err)
	assert.Equal(t, []string{library + "/examples/a", library + "/examples/b/cmd/c"}, got)
	got, err = module{dir: "."}.programs(root)
	require.NoError(t, err)
	assert.Empty(t, got)
}

func TestLastVersionBefore(t *testing.T) {
	t.Parallel()
	root := module{dir: ".", version: "v0.10.0"}
	assert.Equal(t, "v0.9.0", root.lastBefore([]string{"v0.10.0", "v0.9.0", "v0.2.0", "v1.0.0", "vain"}))
	assert.Empty(t, root.lastBefore([]string{"v0.10.0"}))
	examples := module{dir: "examples", version: "v0.2.0"}
	assert.Equal(t, "v0.1.0", examples.lastBefore([]string{"examples/v0.1.0", "examples/v0.2.0"}))
	for versions, want := range map[[2]string]bool{
		{"v0.1.0", "v0.1.1"}: false, {"v0.1.0", "v0.2.0"}: true, {"v0.9.0", "v1.0.0"}: true,
		{"v1.0.0", "v1.1.0"}: false, {"v1.0.0", "v2.0.0"}: true,
	} {
		assert.Equal(t, want, mayBreak(versions[0], versions[1]), versions)
	}
}

// TestExportedAPI compares the API of commits of a small module.
func TestExportedAPI(t *testing.T) {
	if testing.Short() {
		t.Skip("fetches apidiff and compiles it")
	}
	t.Parallel()
	root, tmp := t.TempDir(), t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	commit := func(text string) {
		t.Helper()
		write("p.go", text)
		git("add", "-A")
		git("commit", "-q", "-m", "x")
	}
	git("init", "-q")
	write("go.mod", "module example.com/p\n\ngo 1.26.0\n")
	m := module{dir: ".", path: "example.com/p", version: "v0.1.1"}
	compare := func() (string, error) { return m.compareAPI(t.Context(), root, tmp) }

	commit("package p\n\nfunc F() {}\n")
	summary, err := compare()
	require.NoError(t, err)
	assert.Equal(t, "no earlier version is tagged", summary)

	git("tag", "v0.1.0")
	summary, err = compare()
	require.NoError(t, err)
	assert.Equal(t, "the same as that of v0.1.0", summary)

	commit("package p\n\nfunc F() {}\n\nfunc G() {}\n")
	summary, err = compare()
	require.NoError(t, err)
	assert.Contains(t, summary, "G: added")

	commit("package p\n\nfunc F(int) {}\n")
	_, err = compare()
	require.ErrorContains(t, err, "v0.1.1 would break users of v0.1.0")

	m.version = "v0.2.0"
	summary, err = compare()
	require.NoError(t, err)
	assert.Contains(t, summary, "F: changed")
}
