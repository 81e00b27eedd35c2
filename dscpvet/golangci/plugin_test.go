package golangci_test

import (
	"testing"

	"github.com/golangci/plugin-module-register/register"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscpvet"
	_ "github.com/godscp/godscp/dscpvet/golangci"
)

// golangci-lint finds the plugin by its name, and the settings change only the
// flags of the plugin's analyzer.
func TestPluginSettingsAreFlags(t *testing.T) {
	build, err := register.GetPlugin("dscpvet")
	require.NoError(t, err)
	plugin, err := build(map[string]any{"ecn": true, "family": false})
	require.NoError(t, err)
	assert.Equal(t, register.LoadModeTypesInfo, plugin.GetLoadMode())
	analyzers, err := plugin.BuildAnalyzers()
	require.NoError(t, err)
	require.Len(t, analyzers, 1)
	assert.Equal(t, "true", analyzers[0].Flags.Lookup("ecn").Value.String())
	assert.Equal(t, "false", analyzers[0].Flags.Lookup("family").Value.String())
	assert.Equal(t, "false", dscpvet.Analyzer.Flags.Lookup("ecn").Value.String(), "another analyzer")

	_, err = build(nil)
	require.NoError(t, err)
	_, err = build(map[string]any{"nosuch": true})
	require.ErrorContains(t, err, "dscpvet: setting nosuch")
	_, err = build(map[string]any{"ecn": "maybe"})
	require.Error(t, err)
}
