package kernel

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/packet"
	"github.com/godscp/godscp/internal/tos"
)

// FuzzSteering runs the program that steers SYNs, for any set of marks. It steers SYNs
// with a mark in the set to the sink, and no others.
func FuzzSteering(f *testing.F) {
	f.Add(aSegment(1, byte(packet.SYN), 1, 0, dscp.EF), uint64(1<<dscp.EF))
	f.Add(aSegment6(dscp.AF21), ^uint64(1))
	f.Add(aSegment6(63), uint64(1<<63))
	f.Add(aSegment(1, byte(packet.SYN), 1, 0, 0), ^uint64(0))
	f.Fuzz(func(t *testing.T, header []byte, set uint64) {
		if len(header) < 20 || header[0]>>4 != 4 && header[0]>>4 != 6 {
			t.Skip("no SYN")
		}
		marks := MarkSet(set)
		v6 := header[0]>>4 == 6
		prog := steering(v6, marks)
		for i, ins := range prog {
			if load, ok := ins.(bpf.LoadAbsolute); ok { // an offset that only Linux has
				load.Off -= 0xfff00000
				prog[i] = load
			}
		}
		_, err := bpf.Assemble(prog)
		require.NoError(t, err)
		vm, err := bpf.NewVM(prog)
		require.NoError(t, err)
		n, err := vm.Run(header)
		require.NoError(t, err)
		octet, ok := tos.HeaderOctet(header)
		require.True(t, ok)
		cp := dscp.FromTOS(octet)
		require.Equal(t, marks.Has(cp), n == sinkListener, "%v of %b", cp, set)
	})
}
