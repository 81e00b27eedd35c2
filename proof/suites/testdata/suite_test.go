package p_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/godscp/godscp/dscp"
)

func init() {
	tally, err := os.OpenFile("TALLY", os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err)
	}
	net.Suite = marked{tally}
}

// marked makes marked and pinned conns for the suite, and writes a letter for each
// conn and listener that it makes.
type marked struct{ tally *os.File }

func (m marked) DialContext(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	c, err := (&dscp.Dialer{NetDialer: d, DSCP: dscp.AF21, Trace: m.count}).DialContext(ctx, network, address)
	var oe *net.OpError
	if errors.As(err, &oe) && strings.HasPrefix(oe.Err.Error(), "with DSCP ") {
		oe.Err = errors.Unwrap(oe.Err) // net's tests accept only known types there
	}
	return c, err
}

func (m marked) Listen(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
	return (&dscp.ListenConfig{NetListenConfig: lc, DSCP: dscp.AF21, Trace: m.count}).Listen(ctx, network, address)
}

func (m marked) ListenPacket(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
	return (&dscp.ListenConfig{NetListenConfig: lc, DSCP: dscp.AF21, Trace: m.count}).ListenPacket(ctx, network, address)
}

func (m marked) count(e dscp.Event) {
	switch {
	case e.Err != nil || strings.HasPrefix(e.Network, "unix"):
	case e.Effective == dscp.AF21:
		m.tally.WriteString(e.Op[:1])
	default:
		m.tally.WriteString("!")
	}
}
