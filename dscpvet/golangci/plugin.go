// Package golangci makes dscpvet a module plugin of golangci-lint.
//
// Name it in .custom-gcl.yml and build with "golangci-lint custom":
//
//	version: v2.15.0
//	plugins:
//	  - module: github.com/godscp/godscp/dscpvet
//	    import: github.com/godscp/godscp/dscpvet/golangci
//	    version: latest
//
// and switch it on in .golangci.yml. The settings are the flags of the
// analyzer:
//
//	linters:
//	  enable: [dscpvet]
//	  settings:
//	    custom:
//	      dscpvet:
//	        type: module
//	        settings: {ecn: true, family: false}
package golangci

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/godscp/godscp/dscpvet"
)

// golangci-lint finds module plugins by what they register when it imports them.
// Nothing else imports this package.
func init() { register.Plugin("dscpvet", New) }

type plugin struct{ analyzer *analysis.Analyzer }

// New returns the plugin for settings as golangci-lint reads them: flags of the
// analyzer, each with a boolean.
func New(conf any) (register.LinterPlugin, error) {
	settings, err := register.DecodeSettings[map[string]bool](conf)
	if err != nil {
		return nil, fmt.Errorf("dscpvet: %w", err)
	}
	a := dscpvet.New()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if err := a.Flags.Set(name, strconv.FormatBool(settings[name])); err != nil {
			return nil, fmt.Errorf("dscpvet: setting %s: %w", name, err)
		}
	}
	return &plugin{a}, nil
}

func (p *plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{p.analyzer}, nil
}

func (*plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
