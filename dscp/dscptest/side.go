package dscptest

// A Side is one end of a flow. In [Config] the zero value means both.
type Side uint8

// The two ends of a flow.
const (
	Client Side = 1 + iota // the end that connected, or sent the first datagram
	Server                 // the upstream
)

// String returns "client", "server" or "both".
func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "both"
}

// includes reports whether what travels in direction d comes from s.
func (s Side) includes(d Direction) bool {
	return s == 0 || s == d.From()
}

// A Direction is the way a segment travels.
type Direction uint8

// The two directions of a flow.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// From returns the side that sends in direction d.
func (d Direction) From() Side {
	if d == ServerToClient {
		return Server
	}
	return Client
}

// String returns "client→server" or "server→client".
func (d Direction) String() string {
	if d == ServerToClient {
		return "server→client"
	}
	return "client→server"
}
