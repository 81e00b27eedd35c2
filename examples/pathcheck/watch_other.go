//go:build !linux

package main

import (
	"context"
	"net/netip"

	"github.com/godscp/godscp/dscp"
)

// A segmentWatch reads nothing on this system.
type segmentWatch struct{}

func watchSegments(context.Context, int) *segmentWatch { return nil }

func (*segmentWatch) marks(netip.AddrPort) ([]dscp.CodePoint, bool) { return nil, false }
func (*segmentWatch) forget(netip.AddrPort)                         {}
func (*segmentWatch) close()                                        {}
