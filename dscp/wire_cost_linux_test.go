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

// flows is the number of flows that TestSystemCallsChild makes.
const flows = 8

// callCosts has the system calls that marking and pinning make, for all flows together,
// without net's own options.
var callCosts = []struct {
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

// ourDials dials a bare listener with a Dialer.
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

// ourAccepts accepts bare conns with a Listener. Wrap makes it of net's own, so that only
// accepting is counted.
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

// ourSetDSCP calls SetDSCP, with and without a change, which makes no system call. Only
// the dial does.
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

// TestSystemCallsChild runs in the process that TestSystemCalls traces.
func TestSystemCallsChild(t *testing.T) {
	name := os.Getenv("DSCP_SYSTEM_CALLS")
	if name == "" {
		t.Skip("runs only as a child of TestSystemCalls")
	}
	for _, f := range callCosts {
		if f.name == name {
			f.side(t)
		}
	}
}

// markCall matches a call in strace's output that marking or pinning makes.
var markCall = regexp.MustCompile(`([gs]etsockopt)\(\d+, \w+, (IP_TOS|IPV6_TCLASS|TCP_SAVED_SYN|SO_PROTOCOL)\b`)

// TestSystemCalls counts the system calls of a mark: one to set it and one to read it
// back.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	for _, f := range callCosts {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			trace := strace(t, "getsockopt,setsockopt", "TestSystemCallsChild", "DSCP_SYSTEM_CALLS="+f.name)
			got := map[string]int{}
			for _, m := range markCall.FindAllStringSubmatch(trace, -1) {
				got[m[1]+" "+m[2]]++
			}
			assert.Equal(t, f.want, got)
		})
	}
}
