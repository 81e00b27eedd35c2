package trace_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/dscp/dscptest/trace"
	"github.com/godscp/godscp/internal/packet"
)

// FuzzWriters checks for any record that the capture file is well-formed and its packets
// are as in the record, that the picture is well-formed whatever the reasons contain,
// and that the listing has a row for each packet.
func FuzzWriters(f *testing.F) {
	f.Add([]byte("\x01\x12\x00\x15\x00\x1e\x00\x40\x2e\x01\x00\x00\x05\x00"), "VMware: the client's mark went", uint16(0x0401))
	f.Add([]byte("\x00\x12\x00\x00\xff\xff\x01\x05\x12\xff\xff\x00\x00\x09"), "a panic\x00\x1b[31m \xff\ufffe <b>&", uint16(0x1402))
	f.Fuzz(func(t *testing.T, script []byte, reason string, how uint16) {
		script = script[:min(len(script), 20*7)]
		flow := flowFrom(script, reason, how)
		checkCapture(t, flow)
		var picture, listing bytes.Buffer
		require.NoError(t, trace.WriteSVG(&picture, flow))
		for d := xml.NewDecoder(&picture); ; {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, "%q", reason)
		}
		require.NoError(t, trace.WriteText(&listing, flow, flow))
		require.GreaterOrEqual(t, strings.Count(listing.String(), "\n"), 2*(2+len(flow.Events)))
	})
}

// TestLongReason has a comment that is cut within a character.
func TestLongReason(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{strings.Repeat("é", 1<<15), "x" + strings.Repeat("é", 1<<15)} {
		checkCapture(t, flowFrom(nil, reason, 0x1000))
	}
}

// flowFrom makes a record from bytes, seven for each event or change.
func flowFrom(script []byte, reason string, how uint16) dscptest.Flow {
	flow := dscptest.Flow{
		ID: 1, Network: [...]string{"tcp4", "tcp6", "udp4", "udp6"}[how&3], Start: start, Reason: reason,
		Client: netip.MustParseAddrPort("127.0.0.1:40000"), Upstream: netip.MustParseAddrPort("192.0.2.7:22"),
		SYN: dscp.CodePoint(how >> 4 & 63), SYNACK: dscp.CodePoint(how >> 5 & 63), Answered: how&4 != 0,
		Verdict: dscptest.Verdict(how >> 10 % 5), VerdictAt: after(20_000), End: after(30_000),
	}
	if how&1 != 0 {
		flow.Client, flow.Upstream = netip.MustParseAddrPort("[::1]:40000"), netip.MustParseAddrPort("[2001:db8::7]:22")
	}
	if how&8 != 0 {
		flow.Err = errors.New(reason)
	}
	at := 0
	for ; len(script) >= 7; script = script[7:] {
		d, cp := dscptest.Direction(script[0]&1), dscp.CodePoint(script[1]&63)
		at += int(script[6])
		offset, size := int64(binary.BigEndian.Uint16(script[2:]))<<(script[0]>>2&15), int(binary.BigEndian.Uint16(script[4:]))<<(script[0]>>7)
		if script[0]&2 != 0 {
			flow.Changes = append(flow.Changes, dscptest.Change{
				Direction: d, To: cp, Offset: offset, OffsetMax: offset, At: after(at), Verdict: flow.Verdict, Reason: reason,
			})
			continue
		}
		kind := dscptest.EventKind(script[6] % 3)
		if kind != dscptest.Data {
			size = 0
		}
		flow.Events = append(flow.Events, dscptest.Event{
			At: after(at), Direction: d, DSCP: cp, Offset: offset, Bytes: size, Kind: kind, Lost: script[0]&64 != 0,
		})
	}
	return flow
}

// checkCapture parses a capture file by the draft of the format.
func checkCapture(t *testing.T, flow dscptest.Flow) {
	var b bytes.Buffer
	require.NoError(t, trace.WritePcapNG(&b, flow))
	le := binary.LittleEndian
	var kinds []uint32
	payload := 0
	var last uint64
	for rest := b.Bytes(); len(rest) > 0; {
		require.GreaterOrEqual(t, len(rest), 12)
		kind, size := le.Uint32(rest), int(le.Uint32(rest[4:]))
		require.True(t, size%4 == 0 && 12 <= size && size <= len(rest))
		require.EqualValues(t, size, le.Uint32(rest[size-4:]), "the length is at both ends")
		body := rest[8 : size-4]
		rest = rest[size:]
		kinds = append(kinds, kind)
		switch kind {
		case 0x0A0D0D0A:
			checkOptions(t, body[16:])
		case 1:
			checkOptions(t, body[8:])
		case 6:
			at := uint64(le.Uint32(body[4:]))<<32 | uint64(le.Uint32(body[8:]))
			require.GreaterOrEqual(t, at, last, "in the order of time")
			last = at
			captured, length := int(le.Uint32(body[12:])), int(le.Uint32(body[16:]))
			require.LessOrEqual(t, captured, length)
			octets := body[20:][:captured]
			p, ok := packet.Parse(octets, length)
			require.True(t, ok, "% x", octets[:min(60, len(octets))])
			require.Zero(t, p.ECN())
			udp := p.Proto == packet.UDP
			require.Equal(t, flow.Network[:3] == "udp", udp)
			ends := []netip.AddrPort{flow.Client, flow.Upstream}
			require.ElementsMatch(t, ends, []netip.AddrPort{p.Src, p.Dst})
			if udp || !p.Has(packet.SYN) {
				payload += p.Len
			} else if p.Has(packet.ACK) {
				require.EqualValues(t, flow.SYNACK, p.DSCP())
			} else {
				require.EqualValues(t, flow.SYN, p.DSCP())
			}
			if captured == length {
				require.Zero(t, transportSum(octets, p), "checksum of %v", p)
			}
			checkOptions(t, body[20+(captured+3)/4*4:])
		default:
			require.Fail(t, "unknown block")
		}
	}
	require.EqualValues(t, []uint32{0x0A0D0D0A, 1}, kinds[:2])
	sent := 0
	for _, e := range flow.Events {
		sent += e.Bytes
	}
	require.Equal(t, sent, payload)
}

// checkOptions reads a list of options, which may be missing.
func checkOptions(t *testing.T, b []byte) {
	for len(b) > 0 {
		code, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		require.LessOrEqual(t, 4+(size+3)/4*4, len(b))
		if code == 0 {
			require.True(t, size == 0 && len(b) == 4, "the end of options")
		}
		if code == 1 {
			require.True(t, utf8.Valid(b[4:4+size]), "comments are UTF-8")
		}
		b = b[4+(size+3)/4*4:]
	}
}

// transportSum returns the checksum of a segment with its checksum: 0 means correct.
func transportSum(b []byte, p packet.Packet) uint16 {
	header := 20
	if p.Src.Addr().Is6() {
		header = 40
	}
	segment := b[header:]
	covered := append(append(p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice()...), 0, p.Proto)
	covered = append(binary.BigEndian.AppendUint32(covered, uint32(len(segment))), segment...)
	covered = append(covered, make([]byte, len(covered)&1)...)
	var sum uint32
	for ; len(covered) > 0; covered = covered[2:] {
		sum += uint32(binary.BigEndian.Uint16(covered))
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
