package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/godscp/godscp/dscp"
)

func TestCodePointInYAML(t *testing.T) {
	t.Parallel()
	type config struct {
		DSCP dscp.CodePoint            `yaml:"dscp"`
		By   map[dscp.CodePoint]string `yaml:"by"`
	}
	want := config{DSCP: dscp.LowDelay, By: map[dscp.CodePoint]string{dscp.CS1: "bulk"}}
	var got config
	require.NoError(t, yaml.Unmarshal([]byte("dscp: lowdelay\nby:\n  CS1: bulk\n"), &got))
	assert.Equal(t, want, got)
	require.NoError(t, yaml.Unmarshal([]byte("dscp: 18"), &got))
	assert.Equal(t, dscp.AF21, got.DSCP)
	require.Error(t, yaml.Unmarshal([]byte("dscp: 0x48"), &got))
}
