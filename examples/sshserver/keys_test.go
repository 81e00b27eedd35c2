//go:build unix

package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func TestHostKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "host_key")
	var fingerprints [8]string
	var all sync.WaitGroup
	for i := range fingerprints {
		all.Go(func() {
			signer, err := loadHostKey(file)
			if assert.NoError(t, err) {
				fingerprints[i] = string(signer.PublicKey().Marshal())
			}
		})
	}
	all.Wait()
	for _, f := range fingerprints {
		assert.Equal(t, fingerprints[0], f, "whoever comes first makes the key")
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")

	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610} {
		require.NoError(t, os.Chmod(file, mode))
		_, err = loadHostKey(file)
		assert.ErrorContains(t, err, file+": others than its owner", "%v", mode)
	}
	require.NoError(t, os.Chmod(file, 0o400))
	_, err = loadHostKey(file)
	assert.NoError(t, err)

	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte("no key"), 0o600))
	_, err = loadHostKey(bad)
	assert.ErrorContains(t, err, bad)
	_, err = loadHostKey(filepath.Join(bad, "below"))
	assert.ErrorContains(t, err, bad)
}

func TestAuthorize(t *testing.T) {
	mine, other := sshtest.NewKey(t, ""), sshtest.NewKey(t, "")
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		says string // empty: let in
	}{
		"alone":              {text: mine.Line},
		"among others":       {text: "# a comment\n\nnonsense\n" + other.Line + mine.Line},
		"without a newline":  {text: mine.Line[:len(mine.Line)-1]},
		"harmless option":    {text: "no-port-forwarding,no-X11-forwarding " + mine.Line},
		"another's":          {text: other.Line, says: "not in authorized_keys"},
		"empty":              {text: "", says: "not in authorized_keys"},
		"commented out":      {text: "# " + mine.Line, says: "not in authorized_keys"},
		"command":            {text: `command="date" ` + mine.Line, says: "cannot enforce"},
		"restrict":           {text: "restrict " + mine.Line, says: `"restrict"`},
		"from":               {text: `from="192.0.2.1" ` + mine.Line, says: "cannot enforce"},
		"writable by others": {text: mine.Line, mode: 0o622, says: "others than its owner may write to it"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "authorized_keys")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			if tt.mode != 0 {
				require.NoError(t, os.Chmod(file, tt.mode))
			}
			err := authorize(file, mine.Signer.PublicKey())
			if tt.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.says)
			}
		})
	}
}
