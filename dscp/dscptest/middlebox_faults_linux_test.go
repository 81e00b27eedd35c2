package dscptest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/faults"
)

// TestOptionsThatDoNothingAreNoticed makes one setsockopt after another succeed without
// effect, as on some systems that imitate Linux. The box does not start, or it still
// judges right.
func TestOptionsThatDoNothingAreNoticed(t *testing.T) {
	if !faults.Inside(t) {
		return
	}
	for _, tt := range []struct {
		network, address string
		sensor           dscptest.Sensor
		needs            [][2]int // options without which it must not start
	}{
		{"tcp4", "127.0.0.1:0", dscptest.SocketOption, [][2]int{
			{unix.IPPROTO_TCP, unix.TCP_SAVE_SYN}, {unix.IPPROTO_IP, unix.IP_RECVTOS},
		}},
		{"tcp6", "[::1]:0", dscptest.WireLatest, [][2]int{
			{unix.IPPROTO_TCP, unix.TCP_SAVE_SYN}, {unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS},
		}},
	} {
		t.Run(tt.network, func(t *testing.T) {
			config := dscptest.Config{Upstream: serve(t, tt.address, echo), Sensor: tt.sensor}
			box, err := config.Start() // package net makes some system calls only once
			require.NoError(t, err)
			require.NoError(t, box.Close())
			calls := faults.Watch(func() { box, err = config.Start() })
			require.NoError(t, err)
			require.NoError(t, box.Close())
			refused := map[[2]int]bool{}
			for n, call := range calls {
				if call.Number != unix.SYS_SETSOCKOPT {
					continue
				}
				done := faults.Inject(faults.Only(n), 0, func() { box, err = config.Start() })
				require.Equal(t, []faults.Call{call}, done)
				if err != nil {
					t.Logf("%v: %v", call, err)
					if errors.Is(err, errors.ErrUnsupported) {
						refused[[2]int{call.X, call.Y}] = true
					}
					continue
				}
				t.Logf("%v: the box starts", call)
				c := dialMarked(t, box.Addr(), dscp.EF)
				require.NoError(t, ask(c, "hello"))
				require.NoError(t, mark(c, dscp.CS1))
				require.NoError(t, ask(c, "hello"))
				f := eventually(t, box, func(f dscptest.Flow) bool { return f.ClientBytes == 10 })
				assert.NoError(t, f.Err, "%v", call)
				assert.Equal(t, dscp.EF, f.SYN, "%v", call)
				if assert.Len(t, f.Changes, 1, "%v", call) {
					assert.Equal(t, dscp.CS1, f.Changes[0].To)
				}
				require.NoError(t, box.Close())
			}
			for _, option := range tt.needs {
				assert.True(t, refused[option], "without option %v the box starts", option)
			}
		})
	}
}
