package integration

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestRTP sends audio with EF and video with AF41 over one socket, and checks the marks of
// both on the wire, in order, and in the receiver.
func TestRTP(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	const audio, video = 111, 96 // payload types
	marks := map[uint8]dscp.CodePoint{audio: dscp.EF, video: dscp.AF41}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		lc := dscp.ListenConfig{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
		receiver, err := lc.ListenPacket(t.Context(), "udp", address)
		require.NoError(t, err)
		defer receiver.Close()
		require.NoError(t, receiver.(*dscp.UDPConn).ReceiveMarks())
		require.NoError(t, receiver.SetReadDeadline(time.Now().Add(20*time.Second)))
		to := netip.MustParseAddrPort(receiver.LocalAddr().String())
		capture := wire.Start(t, "lo", to.Port())
		sender, err := lc.ListenPacket(t.Context(), "udp", address)
		require.NoError(t, err)
		defer sender.Close()

		for i := range 100 {
			kind, size := uint8(audio), 160
			if i%4 == 0 {
				kind, size = video, 1100
			}
			p := rtp.Packet{
				Header:  rtp.Header{Version: 2, PayloadType: kind, SequenceNumber: uint16(i), SSRC: uint32(kind)},
				Payload: bytes.Repeat([]byte{byte(i)}, size+i),
			}
			b, err := p.Marshal()
			require.NoError(t, err)
			_, err = sender.(*dscp.UDPConn).WriteMarked(b, to, marks[kind])
			require.NoError(t, err)

			buf, oob := make([]byte, 1500), make([]byte, 128)
			n, oobn, _, _, err := receiver.(*dscp.UDPConn).ReadMsgUDPAddrPort(buf, oob)
			require.NoError(t, err)
			var got rtp.Packet
			require.NoError(t, got.Unmarshal(buf[:n]))
			require.Equal(t, uint16(i), got.SequenceNumber)
			cp, _, ok := dscp.ReceivedMark(oob[:oobn])
			require.True(t, ok)
			assert.Equal(t, marks[got.PayloadType], cp)
		}
		seen := 0
		capture.Until(func(p wire.Packet) bool {
			want := dscp.EF
			if seen%4 == 0 {
				want = dscp.AF41
			}
			assert.EqualValues(t, want, p.DSCP(), "%v", p)
			seen++
			return seen == 100
		})
	}
}

// unmapped returns the address for WriteMarked.
func unmapped(a net.Addr) netip.AddrPort {
	ap := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
