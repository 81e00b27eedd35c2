package openssh

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

func TestParse(t *testing.T) {
	none := Mark{None: true}
	for value, want := range map[string]Marks{
		"lowdelay throughput": {Mark{DSCP: dscp.LowDelay}, Mark{DSCP: dscp.Throughput}},
		"0x10 0x08":           {Mark{DSCP: dscp.LowDelay}, Mark{DSCP: dscp.Throughput}},
		"ef cs0":              {Mark{DSCP: dscp.EF}, Mark{DSCP: dscp.DF}},
		"none none":           {none, none},
		"None":                {none, none},
		"af21 none":           {Mark{DSCP: dscp.AF21}, none},
		"cs1":                 {Mark{DSCP: dscp.CS1}, Mark{DSCP: dscp.CS1}},
	} {
		got, err := Parse(value)
		assert.NoError(t, err, value)
		assert.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "af21 cs1 ef", "0x49 none", "what"} {
		_, err := Parse(value)
		assert.Error(t, err, value)
	}
}

func TestSet(t *testing.T) {
	assert.Equal(t, dscp.EF, Mark{None: true}.Set(dscp.EF))
	assert.Equal(t, dscp.DF, Mark{}.Set(dscp.EF))
}

func TestValue(t *testing.T) {
	for _, printed := range []string{"port 22\nipqos ef cs0\nuser a\n", "Port 22\r\nIPQoS ef cs0\r\n", "IPQoS ef cs0"} {
		value, ok := Value([]byte(printed))
		assert.True(t, ok, printed)
		assert.Equal(t, "ef cs0", value, printed)
	}
	_, ok := Value([]byte("ipqosx ef\nuser ipqos\n"))
	assert.False(t, ok)
}

func TestAsk(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no scripts")
	}
	program := filepath.Join(t.TempDir(), "ssh")
	ask := func(script string) (string, error) {
		require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		return Ask(t.Context(), program, "-G", "host")
	}
	value, err := ask(`echo "user $1 $2"; echo "IPQoS ef cs0"`)
	assert.NoError(t, err)
	assert.Equal(t, "ef cs0", value)
	_, err = ask(`echo user`)
	assert.ErrorIs(t, err, errNoIPQoS)
	_, err = ask(`echo "no such option" >&2; exit 255`)
	assert.ErrorContains(t, err, "no such option (exit status 255)")
	assert.ErrorContains(t, err, program)
}
