package dscp_test

import (
	"context"
	"net"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// flows is how many flows TestSystemCallsChild makes.
const flows = 8

// frugal has what marking and pinning may cost in system calls. The numbers are
// for all flows; net's own options are not among them.
var frugal = []struct {
	name string
	want map[string]int
	side func(t *testing.T)
}{
	{"dial tcp4", map[string]int{"setsockopt IP_TOS": flows, "getsockopt IP_TOS": flows}, ourDials("127.0.0.1:0", dscp.AF21)},
	{"dial tcp6", map[string]int{"setsockopt IPV6_TCLASS": flows, "getsockopt IPV6_TCLASS": flows}, ourDials("[::1]:0", dscp.AF21)},
	{"dial tcp4, DF", map[string]int{"getsockopt IP_TOS": flows}, ourDials("127.0.0.1:0", dscp.DF)},
	{"dial tcp6, DF", map[string]int{"getsockopt IPV6_TCLASS": flows}, ourDials("[::1]:0", dscp.DF)},
	{"accept tcp4", map[string]int{"getsockopt IP_TOS": flows, "getsockopt TCP_SAVED_SYN": flows}, ourAccepts("127.0.0.1:0")},
	{"accept tcp6", map[string]int{"getsockopt IPV6_TCLASS": flows, "getsockopt TCP_SAVED_SYN": flows}, ourAccepts("[::1]:0")},
	{"refuse", map[string]int{"setsockopt IP_TOS": 1, "getsockopt IP_TOS": 1}, ourSetDSCP},
}

// ourDials has our Dialer dial a bare listener.
func ourDials(address string, cp dscp.CodePoint) func(t *testing.T) {
	return func(t *testing.T) {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		d := dscp.Dialer{DSCP: cp}
		for range flows {
			c, err := d.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}
		require.NoError(t, l.Close())
	}
}

// ourAccepts has our Listener accept bare conns. It is made of net's own, so that
// nothing but accepting is counted.
func ourAccepts(address string) func(t *testing.T) {
	return func(t *testing.T) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		bare, err := lc.Listen(context.Background(), "tcp", address)
		require.NoError(t, err)
		l, err := (&dscp.ListenConfig{}).Wrap(bare.(*net.TCPListener))
		require.NoError(t, err)
		for range flows {
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			s, err := l.Accept()
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
		}
		require.NoError(t, l.Close())
	}
}

// ourSetDSCP has SetDSCP refuse and agree, which is free; the dial is not.
func ourSetDSCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	for range flows {
		require.ErrorIs(t, c.(*dscp.Conn).SetDSCP(dscp.CS1), dscp.ErrMidFlow)
		require.NoError(t, c.(*dscp.Conn).SetDSCP(dscp.AF21))
	}
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
}

// TestSystemCallsChild is what TestSystemCalls looks at.
func TestSystemCallsChild(t *testing.T) {
	name := os.Getenv("DSCP_SYSTEM_CALLS")
	if name == "" {
		t.Skip("run by TestSystemCalls")
	}
	for _, f := range frugal {
		if f.name == name {
			f.side(t)
		}
	}
}

// costly matches a call of strace's output that marking or pinning makes.
var costly = regexp.MustCompile(`([gs]etsockopt)\(\d+, \w+, (IP_TOS|IPV6_TCLASS|TCP_SAVED_SYN|SO_PROTOCOL)\b`)

// TestSystemCalls counts what a mark costs: one call to set it and one to read
// it back, and nothing for what does not need the kernel.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	for _, f := range frugal {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			trace := strace(t, "getsockopt,setsockopt", "TestSystemCallsChild", "DSCP_SYSTEM_CALLS="+f.name)
			got := map[string]int{}
			for _, m := range costly.FindAllStringSubmatch(trace, -1) {
				got[m[1]+" "+m[2]]++
			}
			assert.Equal(t, f.want, got)
		})
	}
}
