package main

import (
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// A setup is a network that treats marks in some way.
type setup struct {
	name   string
	models []dscptest.Model
	behind []dscptest.Model // of a second box behind the first, or nil
	delay  time.Duration
	drops  []dscp.CodePoint // a SYN with one of these never arrives
	resets bool             // if the precedence changes
	dark   bool             // if the mark changes
	judges bool             // whether it acts on a change at all
}

func models(ms ...dscptest.Model) []dscptest.Model { return ms }

var setups = []*setup{
	{name: "VMware", models: models(dscptest.VMware), judges: true, resets: true},
	{name: "FlowKey", models: models(dscptest.FlowKey), judges: true, dark: true},
	{
		name: "DropMarked", models: models(dscptest.DropMarked(dscp.AF21, dscp.EF)),
		judges: true, drops: []dscp.CodePoint{dscp.AF21, dscp.EF},
	},
	{name: "OneMark, Bleach", models: models(dscptest.OneMark, dscptest.Bleach), judges: true},
	{name: "Remark", models: models(dscptest.Remark(dscp.CS1))},
	{name: "VMware, BleachLow", models: models(dscptest.VMware, dscptest.BleachLow), judges: true, resets: true},
	{
		name: "VMware before BleachToSPrecedence", models: models(dscptest.VMware),
		behind: models(dscptest.BleachToSPrecedence), judges: true, resets: true,
	},
	{
		name: "DropMarked before FlowKey", models: models(dscptest.DropMarked(dscp.LE)),
		behind: models(dscptest.FlowKey), judges: true, dark: true, drops: []dscp.CodePoint{dscp.LE},
	},
	{name: "OneMark, late", models: models(dscptest.OneMark), delay: 3 * time.Millisecond, judges: true},
}
