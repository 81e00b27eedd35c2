package integration

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// A bundle is the socket of a WebRTC bundle: audio, video and data share its port, and each
// has the mark that RFC 8837 (section 5) recommends.
type bundle struct {
	*dscp.UDPConn

	mu   sync.Mutex // keeps sent in the order of the wire
	sent []sent
}

type sent struct {
	size int
	mark dscp.CodePoint
}

const opus, vp8 = 111, 96 // the payload types that pion offers

func listenBundle(t *testing.T) *bundle {
	t.Helper()
	lc := dscp.ListenConfig{DSCP: dscp.AF21, Datagrams: []dscp.CodePoint{dscp.EF, dscp.AF42}}
	pc, err := lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { pc.Close() })
	return &bundle{UDPConn: pc.(*dscp.UDPConn)}
}

// markOf returns the mark of a packet by its first bytes (RFC 7983; RFC 5761, section 4).
// The payload type of SRTP is not encrypted.
func (b *bundle) markOf(p []byte) dscp.CodePoint {
	if len(p) > 1 && p[0]>>6 == 2 {
		switch p[1] & 0x7f {
		case opus:
			return dscp.EF
		case vp8:
			return dscp.AF42
		}
	}
	return b.DSCP() // data, DTLS, STUN, RTCP
}

func (b *bundle) WriteTo(p []byte, addr net.Addr) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cp := b.markOf(p)
	n, err := b.WriteMarked(p, unmapped(addr), cp)
	if err == nil {
		b.sent = append(b.sent, sent{len(p), cp})
	}
	return n, err
}

// peer returns one end of a WebRTC connection over the bundle.
func (b *bundle) peer(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var settings webrtc.SettingEngine
	mux := webrtc.NewICEUDPMux(nil, b)
	t.Cleanup(func() { mux.Close() })
	settings.SetICEUDPMux(mux)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	var media webrtc.MediaEngine
	require.NoError(t, media.RegisterDefaultCodecs())
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(&media)).NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	t.Cleanup(func() { pc.Close() })
	return pc
}

// agree exchanges an offer and an answer, with all candidates, between the two ends.
func agree(t *testing.T, a, b *webrtc.PeerConnection) {
	t.Helper()
	complete := func(pc *webrtc.PeerConnection, d webrtc.SessionDescription, err error) webrtc.SessionDescription {
		require.NoError(t, err)
		gathered := webrtc.GatheringCompletePromise(pc)
		require.NoError(t, pc.SetLocalDescription(d))
		select {
		case <-gathered:
		case <-time.After(20 * time.Second):
			t.Fatal("candidates were not gathered within 20 s")
		}
		return *pc.LocalDescription()
	}
	offer, err := a.CreateOffer(nil)
	offer = complete(a, offer, err)
	require.NoError(t, b.SetRemoteDescription(offer))
	answer, err := b.CreateAnswer(nil)
	answer = complete(b, answer, err)
	require.NoError(t, a.SetRemoteDescription(answer))
}

// TestWebRTCBundle sends audio, video and data with pion over one pair of ports.
func TestWebRTCBundle(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	left, right := listenBundle(t), listenBundle(t)
	port := netip.MustParseAddrPort(left.LocalAddr().String()).Port()
	capture := wire.Start(t, "lo", port)
	a, b := left.peer(t), right.peer(t)

	track := func(mime, id string) *webrtc.TrackLocalStaticRTP {
		tr, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, "stream")
		require.NoError(t, err)
		_, err = a.AddTrack(tr)
		require.NoError(t, err)
		return tr
	}
	audio, video := track(webrtc.MimeTypeOpus, "audio"), track(webrtc.MimeTypeVP8, "video")
	data, err := a.CreateDataChannel("data", nil)
	require.NoError(t, err)
	opened := make(chan struct{})
	data.OnOpen(func() { close(opened) })
	arrived := make(chan string, 1000)
	b.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := tr.ReadRTP(); err != nil {
				return
			}
			arrived <- tr.Kind().String()
		}
	})
	b.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnMessage(func(webrtc.DataChannelMessage) { arrived <- "data" })
	})
	agree(t, a, b)
	select {
	case <-opened:
	case <-time.After(20 * time.Second):
		t.Fatal("the data channel did not open within 20 s")
	}

	const each = 50
	for i := range each {
		for _, tr := range []*webrtc.TrackLocalStaticRTP{audio, video} {
			require.NoError(t, tr.WriteRTP(&rtp.Packet{
				Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i)}, Payload: make([]byte, 100+i),
			}))
		}
		require.NoError(t, data.Send(make([]byte, 300)))
	}
	got := map[string]int{}
	for late := time.After(20 * time.Second); got["audio"] < each || got["video"] < each || got["data"] < each; {
		select {
		case kind := <-arrived:
			got[kind]++
		case <-late:
			t.Fatalf("not everything arrived within 20 s: %v", got)
		}
	}
	left.mu.Lock()
	written := slices.Clone(left.sent)
	left.mu.Unlock()

	seen, marks := 0, map[dscp.CodePoint]int{}
	capture.Until(func(p wire.Packet) bool {
		if p.Src.Port() != port {
			return false
		}
		require.Equal(t, written[seen], sent{p.Len, dscp.CodePoint(p.DSCP())}, "datagram %d: %v", seen, p)
		marks[written[seen].mark]++
		seen++
		return seen == len(written)
	})
	t.Logf("%d datagrams: %v", seen, marks)
	assert.Equal(t, each, marks[dscp.EF])
	assert.Equal(t, each, marks[dscp.AF42])
	assert.Greater(t, marks[dscp.AF21], 5, "data and connection setup")
}
