package tos

import "net/netip"

// Peers says with which families an IPv6 socket can exchange packets.
type Peers uint8

const (
	AnyPeers  Peers = iota // a wildcard: it depends on IPV6_V6ONLY
	IPv4Peers              // IPv4-mapped ones only
	IPv6Peers              // native ones only
)

// PeersOf returns the Peers of a socket from the address that net passes to a hook:
// the local address of a socket that listens, the remote one of a socket that dials. A
// socket bound or connected to a native IPv6 address has native peers only. net shows
// the dual-stack wildcard as 0.0.0.0 or as [::], so both are AnyPeers, and so is an
// address that cannot be parsed.
func PeersOf(address string) Peers {
	ap, err := netip.ParseAddrPort(address)
	a := ap.Addr()
	if err != nil {
		a, err = netip.ParseAddr(address) // ip networks have no port
	}
	switch {
	case err != nil, a.IsUnspecified():
		return AnyPeers
	case a.Is4(), a.Is4In6():
		return IPv4Peers
	}
	return IPv6Peers
}
