package trace_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/dscp/dscptest/trace"
)

// TestListingOfRealFlow lists the record of a real flow.
func TestListingOfRealFlow(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.VMware)
	c, err := net.Dial("tcp", box.Addr())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	io.WriteString(c, "before")
	_, err = io.ReadFull(c, make([]byte, 6))
	require.NoError(t, err)
	require.NoError(t, ipv6.NewConn(c).SetTrafficClass(int(dscp.AF21.TOS())))
	io.WriteString(c, "after")
	io.Copy(io.Discard, c)

	var rows []string
	var b strings.Builder
	require.NoError(t, trace.WriteText(&b, box.Flows()...))
	for _, line := range strings.Split(b.String(), "\n")[3:] {
		if len(line) > 10 {
			rows = append(rows, strings.Join(strings.Fields(line[10:]), " ")) // without the time
		}
	}
	assert.Equal(t, []string{
		"client→server SYN DF 0x00",
		"server→client SYN-ACK DF 0x00",
		"client→server ACK DF 0x00",
		"client→server data 0–5 DF 0x00",
		"server→client data 0–5 DF 0x00",
		"client→server data 6–10 AF21 0x48 DF → AF21, reset",
		"box→client RST DF 0x00 VMware: the client's mark went from DF to AF21",
	}, rows)
}
