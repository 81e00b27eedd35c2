// Package dialer prepares sockets before they connect, bind or listen.
//
// The net package lets one function look at a socket at that moment:
// [net.Dialer.ControlContext] (or Control) and [net.ListenConfig.Control]. This
// package chains further functions, called hooks, behind the one that a caller
// may already have set, on a copy of the caller's Dialer or ListenConfig:
//
//	d := dialer.With(mine, bindToDevice("wg0"), setMark(7))
//	conn, err := d.DialContext(ctx, "tcp", "example.com:22")
//
// What a hook is good for, and what it must bear, is net's own contract; see
// [Hook]. Package dscp marks sockets through it.
package dialer
