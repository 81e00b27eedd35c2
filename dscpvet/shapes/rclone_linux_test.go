package shapes

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// rcloneDialer has the shape of rclone's fshttp.Dialer: a net.Dialer and the octet
// of --dscp. It sets the octet once the connection is up; the number of colons in
// the peer's address decides on which option.
type rcloneDialer struct {
	net.Dialer
	tclass int
}

func (d *rcloneDialer) before(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if strings.Count(c.RemoteAddr().String(), ":") > 1 {
		err = ipv6.NewConn(c).SetTrafficClass(d.tclass)
	} else {
		err = ipv4.NewConn(c).SetTOS(d.tclass)
	}
	return c, err
}

// after keeps the net.Dialer, its timeouts and its LocalAddr.
func (d *rcloneDialer) after(ctx context.Context, network, address string) (net.Conn, error) {
	marked := dscp.Dialer{NetDialer: &d.Dialer, DSCP: dscp.FromTOS(uint8(d.tclass))}
	return marked.DialContext(ctx, network, address)
}

func TestRclone(t *testing.T) {
	d := &rcloneDialer{Dialer: net.Dialer{Timeout: 10 * time.Second}, tclass: int(dscp.AF21.TOS())}
	for _, address := range loopbacks {
		t.Run("before "+address, func(t *testing.T) {
			flow, err := get(t, address, d.before)
			isReset(t, flow, err)
		})
		t.Run("after "+address, func(t *testing.T) {
			flow, err := get(t, address, d.after)
			isWhole(t, flow, err, dscp.AF21)
		})
	}
}
