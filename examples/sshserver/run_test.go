//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func TestUsage(t *testing.T) {
	for args, says := range map[string]string{
		"more":             `unexpected argument "more"`,
		"-class middling":  "want interactive or bulk",
		"-ipqos 0x49":      "ECN",
		"-bogus":           "-bogus",
		"-listen 1 more 2": `unexpected argument "more"`,
	} {
		var stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), nil, nil, &stderr), args)
		assert.Contains(t, stderr.String(), says)
		assert.Equal(t, 2, strings.Count(stderr.String(), "\n"), "one line and a hint: %s", stderr.String())
		assert.Contains(t, stderr.String(), "sshserver -h")
	}
	var stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-h"}, nil, nil, &stderr))
	assert.Contains(t, stderr.String(), "usage: sshserver")
}

func TestListensOnLoopbackByDefault(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	assert.True(t, netip.MustParseAddrPort(o.listen).Addr().IsLoopback(), o.listen)
}

func TestStartErrors(t *testing.T) {
	key := sshtest.NewKey(t, "")
	t.Setenv("HOME", filepath.Dir(key.File)) // the server does not check the directories above HOME
	missing := filepath.Join(t.TempDir(), "missing")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no keys":      {[]string{"-hostkey", key.File, "-authorized-keys", missing}, missing + ": no such file"},
		"bad host key": {[]string{"-hostkey", t.TempDir()}, "is a directory"},
		"address in use": {
			[]string{"-hostkey", key.File, "-authorized-keys", key.File, "-listen", taken.Addr().String()},
			"listen tcp " + taken.Addr().String() + ": bind: address already in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			assert.Equal(t, 1, run(t.Context(), tt.args, nil, nil, &stderr))
			assert.Contains(t, stderr.String(), "sshserver: ")
			assert.Contains(t, stderr.String(), tt.says)
		})
	}
}
