package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want pinexec.Options
		err  string
	}{
		"a mark and a command":     {args: []string{"AF21", "ssh", "-v", "host"}, want: pinexec.Options{Mark: dscp.AF21, Command: []string{"ssh", "-v", "host"}}},
		"a number":                 {args: []string{"18", "x"}, want: pinexec.Options{Mark: dscp.AF21, Command: []string{"x"}}},
		"no mark":                  {args: []string{"DF", "x"}, want: pinexec.Options{Command: []string{"x"}}},
		"strict":                   {args: []string{"-strict", "cs1", "x"}, want: pinexec.Options{Mark: dscp.CS1, Strict: true, Command: []string{"x"}}},
		"NAT-safe":                 {args: []string{"-nat-safe", "AF21", "x"}, want: pinexec.Options{Mark: dscp.LowDelay, Command: []string{"x"}}},
		"NAT-safe, bulk":           {args: []string{"-nat-safe", "-class=bulk", "x"}, want: pinexec.Options{Mark: dscp.Throughput, Command: []string{"x"}}},
		"verbose":                  {args: []string{"-v", "EF", "x"}, want: pinexec.Options{Mark: dscp.EF, Verbose: true, Command: []string{"x"}}},
		"verbose, to a file":       {args: []string{"-v=/tmp/x", "EF", "x"}, want: pinexec.Options{Mark: dscp.EF, Verbose: true, Log: "/tmp/x", Command: []string{"x"}}},
		"not verbose":              {args: []string{"-v=false", "EF", "x"}, want: pinexec.Options{Mark: dscp.EF, Command: []string{"x"}}},
		"a class":                  {args: []string{"-class", "bulk", "EF"}, want: pinexec.Options{Mark: dscp.CS1, Command: []string{"EF"}}},
		"a class of marks":         {args: []string{"-class", "bulk", "-ipqos", "af31 af11", "x", "y"}, want: pinexec.Options{Mark: dscp.AF11, Command: []string{"x", "y"}}},
		"marks, interactive":       {args: []string{"-ipqos", "af31 af11", "x"}, want: pinexec.Options{Mark: dscp.AF31, Command: []string{"x"}}},
		"dashes":                   {args: []string{"--", "EF", "-x"}, want: pinexec.Options{Mark: dscp.EF, Command: []string{"-x"}}},
		"nothing":                  {err: "no mark and no command"},
		"no command":               {args: []string{"EF"}, err: "no command"},
		"no command after a class": {args: []string{"-class", "bulk"}, err: "no command"},
		"a TOS octet":              {args: []string{"72", "x"}, err: `invalid mark: `},
		"a command without a mark": {args: []string{"ssh", "host"}, err: `invalid mark: `},
		"an unknown flag":          {args: []string{"-x", "EF", "x"}, err: "-x"},
		"an unknown class":         {args: []string{"-class", "slow", "x"}, err: "want interactive or bulk"},
		"unknown marks":            {args: []string{"-ipqos", "slow", "x"}, err: "slow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseOptions(tt.args)
			if tt.err == "" {
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
			} else {
				assert.ErrorContains(t, err, tt.err)
			}
		})
	}
}

// TestUsage claims that pinexec prints a wrong flag and a short usage to standard
// error, and for -h its limits to standard output.
func TestUsage(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, pinexec.Failed, run([]string{"-x"}, &stdout, &stderr))
	assert.Equal(t, "pinexec: flag provided but not defined: -x\n"+usage+"\n", stderr.String())
	assert.Empty(t, stdout.String())

	stderr.Reset()
	require.Zero(t, run([]string{"-h"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	assert.Regexp(t, `(?s)^usage: .*network\s+namespaces.*QUIC.*sudo.*io_uring`, stdout.String())
}
