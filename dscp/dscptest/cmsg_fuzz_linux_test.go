package dscptest

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// FuzzControlMessages reads what no kernel may have written with the two readers
// of control messages, and what the writer writes.
func FuzzControlMessages(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		s := &linuxSenses{v6: v6}
		f.Add(s.withOctet(0x4a), v6, uint8(0x4a))
		f.Add(slices.Concat((&linuxSenses{v6: !v6}).withOctet(1), s.withOctet(2)), v6, uint8(0))
		f.Add(s.withOctet(0x4a)[:17], v6, uint8(0xff))
		f.Add([]byte{1, 2, 3}, v6, uint8(0))
	}
	f.Fuzz(func(t *testing.T, oob []byte, v6 bool, octet uint8) {
		s := &linuxSenses{v6: v6}
		oob = slices.Clip(oob) // nothing behind it may be read
		got, ok := s.octet(oob)
		// The kernel's own walk, by package unix, up to where that finds an end.
		var want uint8
		var found bool
		for at := 0; at+unix.CmsgLen(0) <= len(oob) && !found; {
			size := binary.NativeEndian.Uint64(append(slices.Clone(oob[at:]), make([]byte, 8)...))
			if unix.SizeofCmsghdr == 12 {
				size = uint64(binary.NativeEndian.Uint32(oob[at:]))
			}
			if size < unix.SizeofCmsghdr || size > uint64(len(oob)-at) {
				break
			}
			ms, err := unix.ParseSocketControlMessage(oob[at : at+int(size)])
			require.NoError(t, err)
			m := ms[0]
			if v6 && m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS && len(m.Data) >= 4 {
				want, found = uint8(binary.NativeEndian.Uint32(m.Data)), true
			} else if !v6 && m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS && len(m.Data) > 0 {
				want, found = m.Data[0], true
			}
			at += unix.CmsgSpace(int(size) - unix.CmsgLen(0))
		}
		require.Equal(t, found, ok)
		require.Equal(t, want, got)

		back, ok := s.octet(s.withOctet(octet))
		require.True(t, ok)
		require.Equal(t, octet, back)

		var latched [8]uint64
		b := make([]byte, 64)
		n := copy(b, oob)
		for i := range latched {
			latched[i] = binary.NativeEndian.Uint64(b[8*i:])
		}
		class, ok := classIn(&latched, uint32(n))
		h, data := b[:unix.SizeofCmsghdr], b[unix.SizeofCmsghdr:]
		is := n >= unix.CmsgLen(4) &&
			binary.NativeEndian.Uint32(h[len(h)-8:]) == unix.IPPROTO_IPV6 && binary.NativeEndian.Uint32(h[len(h)-4:]) == unix.IPV6_TCLASS
		require.Equal(t, is, ok)
		if ok {
			require.Equal(t, int(int32(binary.NativeEndian.Uint32(data))), class)
		}
	})
}

// FuzzSteering runs the program that loses SYNs over headers, for any set of
// marks, and asks the model what should be lost.
func FuzzSteering(f *testing.F) {
	f.Add(aSegment(1, flagSYN, 1, 0, dscp.EF), uint64(1<<dscp.EF))
	f.Add(aSegment6(dscp.AF21), ^uint64(1))
	f.Add(aSegment6(63), uint64(1<<63))
	f.Add(aSegment(1, flagSYN, 1, 0, 0), ^uint64(0))
	f.Fuzz(func(t *testing.T, header []byte, set uint64) {
		if len(header) < 20 || header[0]>>4 != 4 && header[0]>>4 != 6 {
			t.Skip("no SYN")
		}
		var cps []dscp.CodePoint
		for cp := range dscp.CodePoint(64) {
			if set>>cp&1 != 0 {
				cps = append(cps, cp)
			}
		}
		if len(cps) == 0 {
			return // no hole is opened for nothing, and no cps mean all
		}
		model := DropMarked(cps...)
		lost, err := newChain([]Model{model}, 0).losesSYNs("tcp4")
		require.NoError(t, err)
		require.Equal(t, markSet(set), lost)

		v6 := header[0]>>4 == 6
		prog := steering(v6, lost)
		for i, ins := range prog {
			if load, ok := ins.(bpf.LoadAbsolute); ok { // an offset that only Linux knows
				load.Off -= 0xfff00000
				prog[i] = load
			}
		}
		_, err = bpf.Assemble(prog)
		require.NoError(t, err)
		vm, err := bpf.NewVM(prog)
		require.NoError(t, err)
		n, err := vm.Run(header)
		require.NoError(t, err)
		cp, ok := markOf(header)
		require.True(t, ok)
		drops := model(Segment{Network: "tcp4", Handshake: true, DSCP: cp, First: cp, Prev: cp}) == Drop
		require.Equal(t, drops, n == holeListener, "%v of %v", cp, cps)
	})
}
