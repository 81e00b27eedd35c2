package dscp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestReflectThroughBoxes connects to a listener with Reflect through middleboxes that
// reset or lose a flow whose mark changes. Each flow has one mark in each direction, the
// same in both if the client's mark is in Reflect, and the middlebox lets it pass.
func TestReflectThroughBoxes(t *testing.T) {
	t.Parallel()
	for _, address := range loopbacks {
		for inside, side := range map[string]dscptest.Side{"client": dscptest.Client, "server": dscptest.Server, "both": 0} {
			t.Run(address+" "+inside, func(t *testing.T) {
				t.Parallel()
				l := listenFour(t, address)
				server := serveEcho(l, &four)
				box := dscptest.Config{
					Upstream: l.Addr().String(), Inside: side,
					Models: []dscptest.Model{dscptest.VMware, dscptest.FlowKey, dscptest.OneMark},
				}.NewMiddlebox(t)
				marks := []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.EF, dscp.CS2, dscp.DF, dscp.AF41}
				for _, cp := range marks {
					c, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", box.Addr())
					require.NoError(t, err)
					require.NoError(t, exchange(c), "%v", cp)
				}
				require.Eventually(t, func() bool {
					over := 0
					for _, f := range box.Flows() {
						if f.Over {
							over++
						}
					}
					return over == len(marks)
				}, 20*time.Second, time.Millisecond)
				for i, f := range box.Flows() {
					assert.Equal(t, marks[i], f.SYN)
					assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
					assert.Empty(t, f.Changes, "%v", f)
					if f.Answered {
						assert.Equal(t, answered(&four, marks[i]), f.SYNACK, "%v", f)
					}
				}
				server.end(t, l)
				assert.Zero(t, server.wrong.Load())
			})
		}
	}
}
