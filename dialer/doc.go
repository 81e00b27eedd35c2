// Package dialer prepares sockets before they connect, bind or listen.
//
// Package net calls one function at that moment: [net.Dialer.ControlContext] (or
// Control) and [net.ListenConfig.Control]. [With] and [WithListen] add further
// functions, called hooks, on a copy of the caller's Dialer or ListenConfig. They
// run after the function that the caller has set:
//
//	d := dialer.With(mine, bindToDevice("wg0"), setMark(7))
//	conn, err := d.DialContext(ctx, "tcp", "example.com:22")
//
// [Hook] describes when and how often net runs one. Package dscp marks sockets with
// a hook.
package dialer
