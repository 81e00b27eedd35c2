package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
)

// datagrams sends datagrams to an echo and waits for each to come back.
func datagrams(w *worker) (err error) {
	s := one(w, w.servers[:len(w.servers)-2]) // the last two relay, and have no echo
	to, direct := s.address(), true
	d, mark := w.dialer()
	var silenced *box
	if w.chance(2) {
		var b *box
		if b, err = one(w, w.places).enter(w); err != nil {
			return err
		}
		defer b.done(&err)
		// Of two boxes, the first does not know the port on which the second takes
		// datagrams.
		if b.server.echo != nil && len(b.chain) == 1 && !slices.Contains(b.drops, mark) {
			to, direct, s = b.chain[0].UDPAddr(), false, b.server
			if b.dark {
				silenced = b
			}
		}
	}
	c, peer, err := w.dialUDP(d, to)
	if err != nil {
		return err
	}
	if silenced != nil {
		silenced.keep(c)
	} else {
		defer c.Close()
	}
	if c.DSCP() != mark {
		return fmt.Errorf("the socket is marked %v instead of %v", c.DSCP(), mark)
	}
	if err := c.ReceiveMarks(); err != nil {
		return err
	}
	for range 1 + w.rng.IntN(12) {
		if err := w.ask(c, peer, mark, s.mark, direct); err != nil {
			return err
		}
		if err := w.attackUDP(c, peer, mark); err != nil {
			return err
		}
	}
	return c.Verify()
}

// dialUDP returns a connected socket, or an unconnected one and the address to send
// to.
func (w *worker) dialUDP(d *dscp.Dialer, address string) (*dscp.UDPConn, netip.AddrPort, error) {
	resolved, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	peer := resolved.AddrPort()
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	var c net.Conn
	switch w.rng.IntN(3) {
	case 0:
		c, err = d.Dial("udp", address)
	case 1:
		c, err = d.DialUDP(context.Background(), "udp", netip.AddrPort{}, peer)
	default:
		lc := listenConfig(d.DSCP)
		lc.NATSafe = d.NATSafe
		bind := one(w, []string{"[::]:0", netip.AddrPortFrom(peer.Addr(), 0).String()})
		pc, err := lc.ListenPacket(context.Background(), "udp", bind)
		if err != nil {
			return nil, peer, err
		}
		return pc.(*dscp.UDPConn), peer, nil
	}
	if err != nil {
		return nil, peer, err
	}
	return c.(*dscp.UDPConn), netip.AddrPort{}, nil
}

// ask sends messages, in a random way, until all have come back. A datagram may be
// lost where a queue is full.
func (w *worker) ask(c *dscp.UDPConn, peer netip.AddrPort, mark, answer dscp.CodePoint, direct bool) error {
	missing := w.messages(mark, direct)
	b, oob := make([]byte, room), make([]byte, room)
	for range 10 {
		if err := w.sendAll(c, peer, missing); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the read tells
		for len(missing) > 0 {
			n, oobn, _, _, err := c.ReadMsgUDPAddrPort(b, oob)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.tally.expected("datagram lost", timeout)
				break
			}
			if err != nil {
				return err
			}
			if n < messageHeader {
				return fmt.Errorf("%w: a datagram of %d octets", errWrong, n)
			}
			i := slices.IndexFunc(missing, func(m []byte) bool { return bytes.Equal(m[:8], b[:8]) })
			if i < 0 {
				continue // it was sent twice, or to an earlier socket on this port
			}
			want := missing[i]
			if !bytes.Equal(b[:n], want) {
				return fmt.Errorf("%w: a datagram of %d octets came back as %d other octets", errWrong, len(want), n)
			}
			if err := arrived(answer.TOS()|want[8]&3, direct, oob[:oobn]); err != nil {
				return err
			}
			missing = slices.Delete(missing, i, i+1)
			w.tally.datagrams.Add(1)
		}
		if len(missing) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d datagrams did not come back", len(missing))
}

// messages returns random messages.
func (w *worker) messages(mark dscp.CodePoint, direct bool) [][]byte {
	ms := make([][]byte, 1+w.rng.IntN(4))
	for i := range ms {
		m := binary.BigEndian.AppendUint64(make([]byte, 0, room), w.rng.Uint64())
		octet, flag := mark.TOS(), byte(0)
		if w.chance(2) {
			octet |= uint8(w.rng.IntN(4))
		}
		if direct {
			flag = 1
		}
		from := w.rng.IntN(payloadSize - 1200)
		ms[i] = append(append(m, octet, flag), w.payload.octets[from:from+w.rng.IntN(1200)]...)
	}
	return ms
}

// sendAll sends the messages, each in a random way: plain, with a control message,
// or in a batch.
func (w *worker) sendAll(c *dscp.UDPConn, peer netip.AddrPort, messages [][]byte) error {
	var batch []ipv4.Message
	for _, m := range messages {
		octet := m[8]
		if octet&3 == 0 && w.chance(2) {
			if err := sendPlain(c, peer, m); err != nil {
				return err
			}
			continue
		}
		if w.chance(2) { // as QUIC stacks do: ECN bits, and no mark
			octet &= 3
		}
		oob := controlMessage(far(c, peer), octet)
		if w.chance(2) {
			if _, _, err := c.WriteMsgUDPAddrPort(m, oob, peer); err != nil {
				return err
			}
			continue
		}
		message := ipv4.Message{Buffers: [][]byte{m}, OOB: oob}
		if peer.IsValid() {
			message.Addr = net.UDPAddrFromAddrPort(peer)
		}
		batch = append(batch, message)
	}
	for len(batch) > 0 {
		n, err := c.WriteBatch(batch, 0)
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func sendPlain(c *dscp.UDPConn, peer netip.AddrPort, m []byte) error {
	var err error
	if peer.IsValid() {
		_, err = c.WriteToUDPAddrPort(m, peer)
	} else {
		_, err = c.Write(m)
	}
	return err
}

// attackUDP tries to change the mark. If its message left, the echo would report an
// error.
func (w *worker) attackUDP(c *dscp.UDPConn, peer netip.AddrPort, mark dscp.CodePoint) error {
	cp := w.mark()
	if cp == mark {
		return nil
	}
	wrong := make([]byte, 1)
	v4 := far(c, peer).Is4()
	var err error
	switch w.rng.IntN(4) {
	case 0:
		err = c.SetDSCP(cp)
	case 1:
		if v4 {
			err = ipv4.NewPacketConn(c).SetTOS(int(cp.TOS()))
		} else {
			err = ipv6.NewPacketConn(c).SetTrafficClass(int(cp.TOS()))
		}
	case 2:
		if cp == dscp.DF {
			return nil // asks for the pinned mark
		}
		_, _, err = c.WriteMsgUDPAddrPort(wrong, controlMessage(far(c, peer), cp.TOS()), peer)
	default:
		if cp == dscp.DF {
			return nil
		}
		_, err = c.WriteBatch([]ipv4.Message{{
			Buffers: [][]byte{wrong}, OOB: controlMessage(far(c, peer), cp.TOS()), Addr: net.UDPAddrFromAddrPort(peer),
		}}, 0)
	}
	if !errors.Is(err, dscp.ErrMidFlow) {
		return fmt.Errorf("the mark %v of a UDP socket was changed to %v: %v", mark, cp, err)
	}
	w.tally.refusals.Add(1)
	return nil
}

// far returns the address that a socket sends to.
func far(c *dscp.UDPConn, peer netip.AddrPort) netip.Addr {
	if peer.IsValid() {
		return peer.Addr()
	}
	return c.RemoteAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
