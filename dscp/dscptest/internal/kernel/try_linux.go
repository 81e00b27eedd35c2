package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/tos"
)

// tryTime is how long a trial on loopback may take.
const tryTime = 5 * time.Second

func (k *linuxKernel) Try(l *net.TCPListener, network string, cp dscp.CodePoint) error {
	d := net.Dialer{Timeout: tryTime, Control: k.PrepareDial(cp), KeepAlive: -1}
	d.SetMultipathTCP(false)
	client, err := d.Dial(network, l.Addr().String())
	if err != nil {
		return err
	}
	defer reset(client)
	server, err := acceptFrom(l, client.LocalAddr().String())
	if err != nil {
		return err
	}
	defer reset(server)

	p, err := k.Probe(server, true)
	if err != nil {
		return Unsupported(network, k.Source().option(), err)
	}
	if q, ok := p.(QueueingProbe); ok {
		defer q.Release()
	}
	if got, ok := p.Mark(); !ok || got != cp {
		return Unsupported(network, k.Source().option(), fmt.Errorf("cannot read the mark of a trial connection, which is %v", cp))
	}
	got, err := SavedSYN(server)
	if err != nil && alwaysSYNCookies() {
		return nil // no SYN is saved, so the box uses what the probe reads
	}
	if err != nil || got != cp {
		return Unsupported(network, "TCP_SAVE_SYN", fmt.Errorf("a trial SYN marked %v was not saved", cp))
	}
	return nil
}

// reset closes a connection with a RST, so that neither end waits (TIME_WAIT).
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// acceptFrom returns the connection from this address. It closes others, which other
// programs have made by chance.
func acceptFrom(l *net.TCPListener, address string) (*net.TCPConn, error) {
	if err := l.SetDeadline(time.Now().Add(tryTime)); err != nil {
		return nil, err
	}
	defer l.SetDeadline(time.Time{})
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if c.RemoteAddr().String() == address {
			return c, nil
		}
		c.Close()
	}
}

// alwaysSYNCookies reads the sysctl tcp_syncookies, which is for both families.
func alwaysSYNCookies() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_syncookies")
	return err == nil && strings.TrimSpace(string(b)) == "2"
}

// option returns the name of what a source relies on.
func (s Source) option() string {
	switch s {
	case EverySegment:
		return "AF_PACKET"
	case LatestSegment:
		return "IPV6_2292PKTOPTIONS"
	}
	return "NETLINK_SOCK_DIAG"
}

func (k *linuxKernel) TryUDP(network string, cp dscp.CodePoint) error {
	lc := net.ListenConfig{Control: k.PrepareUDP()}
	receiver, err := lc.ListenPacket(context.Background(), network, loopbackOf(network))
	if err != nil {
		return err
	}
	defer receiver.Close()
	c := receiver.(*net.UDPConn)
	d := net.Dialer{Timeout: tryTime}
	sender, err := d.Dial(network, c.LocalAddr().String())
	if err != nil {
		return err
	}
	defer sender.Close()
	if s, err := k.udpSocket(AddrPort(sender.LocalAddr()), AddrPort(c.LocalAddr())); err == nil && s.ID != 0 {
		k.tellsUDPSockets.Store(true)
	}
	// Linux begins to record arrival times some time after it was asked to.
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		oob, sent, err := k.trialDatagram(c, sender.(*net.UDPConn), cp)
		if err != nil {
			return err
		}
		if octet, ok := tos.ReceivedOctet(oob); !ok || dscp.FromTOS(octet) != cp {
			return Unsupported(network, tos.Host.Receive[k.option()].Name, fmt.Errorf("cannot read the mark of a trial datagram, which is %v", cp))
		}
		if at, ok := arrived(oob); ok && !at.After(sent) {
			k.tellsArrival.Store(true)
			return nil
		}
		if time.Since(begin) > timestampTime {
			return nil
		}
	}
}

func loopbackOf(network string) string {
	if network == "udp6" {
		return "[::1]:0"
	}
	return "127.0.0.1:0"
}

const (
	// timestampTime is how long a trial waits for the kernel to record arrival
	// times. If it does not, Kernel.Arrived returns false.
	timestampTime = 100 * time.Millisecond
	// resendTime is how long a trial waits for a datagram before it sends another.
	resendTime = 100 * time.Millisecond
)

// trialDatagram sends a datagram and receives it. If it does not arrive, because
// loopback may lose packets, it sends it again. It returns the control messages with
// which it was received, and a time between sending and receiving.
func (k *linuxKernel) trialDatagram(c, sender *net.UDPConn, cp dscp.CodePoint) (oob []byte, sent time.Time, err error) {
	oob = make([]byte, 128)
	for begin := time.Now(); ; {
		if _, _, err := sender.WriteMsgUDP(nil, tos.AppendControl(nil, k.option(), cp.TOS()), nil); err != nil {
			return nil, sent, err
		}
		sent = time.Now()
		n, err := receiveFrom(c, AddrPort(sender.LocalAddr()), oob, sent.Add(resendTime))
		switch {
		case err == nil:
			return oob[:n], sent, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, sent, err
		case time.Since(begin) > tryTime:
			return nil, sent, fmt.Errorf("no trial datagram arrived within %v: %w", tryTime, err)
		}
	}
}

// receiveFrom receives a datagram from an address, and returns the length of its
// control messages. It drops others, which other programs have sent by chance.
func receiveFrom(c *net.UDPConn, address netip.AddrPort, oob []byte, deadline time.Time) (int, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	for {
		_, n, _, from, err := c.ReadMsgUDPAddrPort(make([]byte, 1), oob)
		if err != nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) == address {
			return n, err
		}
	}
}
