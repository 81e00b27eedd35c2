package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A message is the content of a datagram: the mark that it should have, and random
// octets. The echo sends it back unchanged.
//
//	8 octets  number
//	1 octet   TOS or Traffic Class octet that it was sent with
//	1 octet   1 if no box is on the path
//	          part of the payload
const messageHeader = 10

// room is enough for any message and its control messages.
const room = 2048

// An echo answers datagrams.
type echo struct {
	tally   *tally
	conn    *dscp.UDPConn
	running sync.WaitGroup
}

func openEchoAt(t *tally, lc *dscp.ListenConfig, address string) (*echo, error) {
	c, err := lc.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	e := &echo{tally: t, conn: c.(*dscp.UDPConn)}
	if err := e.conn.ReceiveMarks(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	e.running.Go(e.serve)
	return e, nil
}

func (e *echo) serve() {
	b, oob := make([]byte, room), make([]byte, room)
	for {
		n, oobn, _, from, err := e.conn.ReadMsgUDPAddrPort(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n < messageHeader {
			err = fmt.Errorf("%w: a datagram of %d octets", errWrong, n)
		}
		if err == nil {
			err = arrived(b[8], b[9] == 1, oob[:oobn])
		}
		if err == nil {
			answer := controlMessage(from.Addr(), b[8]&3)
			_, _, err = e.conn.WriteMsgUDPAddrPort(b[:n], answer, from)
		}
		// The ICMP error for a client that is closed reaches only a connected
		// socket; this one is not.
		if err != nil {
			e.tally.fail(fmt.Errorf("echo: %w", err))
		}
	}
}

func (e *echo) close() error {
	err := e.conn.Close()
	e.running.Wait()
	return err
}

// arrived compares the mark that a datagram had on arrival with the octet that
// it was sent with. Boxes change marks, but not ECN bits.
func arrived(octet uint8, direct bool, oob []byte) error {
	cp, ecn, ok := dscp.ReceivedMark(oob)
	if !ok || ecn != octet&3 || direct && cp != dscp.FromTOS(octet) {
		return fmt.Errorf("a datagram sent with octet %#02x arrived with %v, ECN %d, %v", octet, cp, ecn, ok)
	}
	return nil
}

// controlMessage returns the control message that sends a datagram to an address
// with an octet.
func controlMessage(to netip.Addr, octet uint8) []byte {
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.SetLen(unix.CmsgLen(4))
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	if to.Unmap().Is4() {
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TOS
	}
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], uint32(octet))
	return b
}
