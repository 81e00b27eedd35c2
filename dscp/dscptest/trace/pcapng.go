package trace

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"github.com/godscp/godscp/dscp/dscptest"
)

// Numbers of the PCAP Next Generation format (draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6 // enhanced
	byteOrderMagic = 0x1A2B3C4D

	optEnd         = 0
	optComment     = 1
	optUserAppl    = 4 // of a section
	optName        = 2 // of an interface
	optDescription = 3 // of an interface
	optResolution  = 9 // of an interface's timestamps

	linkRaw = 101 // IPv4 or IPv6 without a link layer

	// Of packets longer than snapLength only the first snapped bytes are written.
	// The rest is zeros.
	snapLength = 2048
	snapped    = 128

	maxOption = 32 << 10 // the longest comment: a reason may contain a stack
)

// madeUp is the comment of every file.
const madeUp = "Not a capture: packets made from the record that a box of package dscptest kept of its flows. " +
	"Marks, directions, order and times are as the box noted them; payload, sequence numbers and acknowledgements are made up."

// WritePcapNG writes the flows as a capture file that Wireshark and tshark open: raw
// IP packets with well-formed headers, in the order of their times. Their
// ip.dsfield.dscp (on IPv6 ipv6.tclass.dscp) is as the box saw it. Changes, verdicts
// and their reasons are comments on their packets (frame.comment).
//
// The packets are made from the records; see the documentation of the package. A
// comment in the file says so.
func WritePcapNG(w io.Writer, flows ...dscptest.Flow) error {
	var all []frame
	for _, f := range flows {
		all = append(all, frames(f)...)
	}
	slices.SortStableFunc(all, func(a, b frame) int { return a.at.Compare(b.at) })

	var b bytes.Buffer
	writeBlock(&b, blockSection, sectionHeader())
	writeBlock(&b, blockInterface, interfaceDescription())
	for _, f := range all {
		writeBlock(&b, blockPacket, enhancedPacket(f))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func sectionHeader() []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, byteOrderMagic)
	b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, ^uint64(0)) // length not given
	b = appendOption(b, optComment, []byte(madeUp))
	b = appendOption(b, optUserAppl, []byte("godscp dscptest/trace"))
	return appendOption(b, optEnd, nil)
}

func interfaceDescription() []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint16(b, linkRaw)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0) // no limit: only long packets are cut
	b = appendOption(b, optName, []byte("box"))
	b = appendOption(b, optDescription, []byte("synthesised from the record of a dscptest box"))
	b = appendOption(b, optResolution, []byte{9}) // nanoseconds
	return appendOption(b, optEnd, nil)
}

func enhancedPacket(f frame) []byte {
	captured := f.bytes
	if len(captured) > snapLength {
		captured = captured[:snapped]
	}
	at := uint64(f.at.UnixNano())
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, 0) // interface
	b = binary.LittleEndian.AppendUint32(b, uint32(at>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(captured)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.bytes)))
	b = append(b, captured...)
	b = pad(b)
	if f.note == "" {
		return b
	}
	b = appendOption(b, optComment, []byte(f.comment()))
	return appendOption(b, optEnd, nil)
}

// comment returns the comment on a packet. It says if the box sent the packet. It is
// valid UTF-8.
func (f frame) comment() string {
	note := f.note
	if f.byBox {
		note = "the box: " + note
	}
	return strings.ToValidUTF8(note[:min(len(note), maxOption)], "")
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

// pad fills b up to a multiple of four bytes.
func pad(b []byte) []byte {
	return append(b, make([]byte, -len(b)&3)...)
}

// writeBlock writes a block. The length of body is a multiple of four.
func writeBlock(b *bytes.Buffer, blockType uint32, body []byte) {
	length := uint32(len(body) + 12)
	var h []byte
	h = binary.LittleEndian.AppendUint32(h, blockType)
	h = binary.LittleEndian.AppendUint32(h, length)
	b.Write(h)
	b.Write(body)
	b.Write(binary.LittleEndian.AppendUint32(nil, length))
}
