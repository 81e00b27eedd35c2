package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFiles(t *testing.T) {
	needBox(t)
	dir := t.TempDir()
	svg, pcap := filepath.Join(dir, "made", "svg"), filepath.Join(dir, "pcap")
	require.Zero(t, run(t.Context(), []string{"-4", "-svg", svg, "-pcap", pcap}, io.Discard, io.Discard))
	for name, starts := range map[string]string{
		filepath.Join(svg, "02-script-2-0x48-after-connect.svg"):      "<svg",
		filepath.Join(pcap, "01-script-1-0x48-before-connect.pcapng"): "\x0a\x0d\x0d\x0a",
	} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Greater(t, len(b), len(starts))
		assert.Equal(t, starts, string(b[:len(starts)]), name)
	}
	drawn, err := os.ReadDir(svg)
	require.NoError(t, err)
	written, err := os.ReadDir(pcap)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(drawn), len(wantRows))
	assert.Len(t, written, len(drawn))
}

func TestFilesCannotBeWritten(t *testing.T) {
	needBox(t)
	taken := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.WriteFile(taken, nil, 0o600))
	assert.Equal(t, 1, run(t.Context(), []string{"-svg", taken}, io.Discard, io.Discard))
}

func TestFileName(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "dscp-dialer-dscp-af21-natsafe-true", fileName("dscp.Dialer{DSCP: AF21, NATSafe: true}"))
}
