package natlab_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/natlab"
	"github.com/godscp/godscp/internal/testns"
)

// An outcome is what the client observes.
type outcome string

const (
	works     outcome = "works"
	reset     outcome = "connection reset"
	silence   outcome = "silence after the change"
	mute      outcome = "silence from the beginning"
	noConnect outcome = "no connection"
)

// A host is one end of a scenario: how it makes its connection, and how it changes it in
// the middle.
type host struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	listen func(ctx context.Context, network, address string) (net.Listener, error)
	change func(c net.Conn) error // nil: nothing
}

// plain is a host that sets no mark.
func plain() host {
	return host{dial: new(net.Dialer).DialContext, listen: new(net.ListenConfig).Listen}
}

// pinned is a host that marks from the first packet on and pins.
func pinned(cp dscp.CodePoint) host {
	return host{dial: (&dscp.Dialer{DSCP: cp}).DialContext, listen: (&dscp.ListenConfig{DSCP: cp}).Listen}
}

// bare is a host that marks from the first packet on and does not pin.
func bare(cp dscp.CodePoint) host {
	return host{dial: (&dscp.Dialer{DSCP: cp}).Marked().DialContext, listen: (&dscp.ListenConfig{DSCP: cp}).Marked().Listen}
}

// then returns h with a change to another mark in the middle.
func (h host) then(cp dscp.CodePoint) host {
	h.change = func(c net.Conn) error { return setTOS(c, cp) }
	return h
}

// thenRefused returns h, which must be pinned, with refused attempts to change the mark.
func (h host) thenRefused(cp dscp.CodePoint) host {
	h.change = func(c net.Conn) error {
		for _, err := range []error{c.(*dscp.Conn).SetDSCP(cp), setTOS(c, cp)} {
			if !errors.Is(err, dscp.ErrMidFlow) {
				return errors.Join(errors.New("not refused"), err)
			}
		}
		return nil
	}
	return h
}

// setTOS changes the mark as most programs do.
func setTOS(c net.Conn, cp dscp.CodePoint) error {
	if netip.MustParseAddrPort(c.LocalAddr().String()).Addr().Unmap().Is4() {
		return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
	}
	return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
}

// A scenario is a flow and its outcome behind each kind of box.
type scenario struct {
	name           string
	serverInside   bool // the server is behind the NAT, and its marks decide
	client, server host

	precedence, codePoint, dropped outcome
}

// The reports and the predictions of the VMware model, beside a box with the code point
// in its flow key and one that drops all that is marked.
var scenarios = []scenario{
	{"never marked", false, plain(), plain(), works, works, works},
	{"AF21 throughout", false, bare(dscp.AF21), plain(), works, works, noConnect},
	{"AF21 throughout, both sides", false, pinned(dscp.AF21), pinned(dscp.AF21), works, works, noConnect},
	{"CS1 throughout", false, pinned(dscp.CS1), plain(), works, works, noConnect},
	{"EF throughout", false, pinned(dscp.EF), plain(), works, works, noConnect},
	{"NQB throughout", false, pinned(dscp.NQB), plain(), works, works, noConnect},
	{"unmarked, then AF21 (OpenSSH 7.8, tty)", false, plain().then(dscp.AF21), plain(), reset, silence, silence},
	{"unmarked, then CS1 (OpenSSH 7.8, no tty)", false, plain().then(dscp.CS1), plain(), reset, silence, silence},
	{"unmarked, then lowdelay (OpenSSH 7.7, tty)", false, plain().then(dscp.LowDelay), plain(), works, silence, silence},
	{"unmarked, then throughput (OpenSSH 7.7, no tty)", false, plain().then(dscp.Throughput), plain(), works, silence, silence},
	{"unmarked, then LE", false, plain().then(dscp.LE), plain(), works, silence, silence},
	{"unmarked, then EF", false, plain().then(dscp.EF), plain(), reset, silence, silence},
	{"AF21, then CS1 (OpenSSH 8.5, no tty)", false, bare(dscp.AF21).then(dscp.CS1), plain(), reset, silence, noConnect},
	{"AF21, then AF22", false, bare(dscp.AF21).then(dscp.AF22), plain(), works, silence, noConnect},
	{"EF, then unmarked (OpenSSH 10.1, bulk)", false, bare(dscp.EF).then(dscp.DF), plain(), reset, silence, noConnect},
	{"AF21, then CS1, refused by the pin", false, pinned(dscp.AF21).thenRefused(dscp.CS1), plain(), works, works, noConnect},
	{"unmarked, then AF21, refused by the pin", false, pinned(dscp.DF).thenRefused(dscp.AF21), plain(), works, works, works},
	{"the host outside changes its mark", false, plain(), plain().then(dscp.AF21), works, works, works},
	{"server inside, never marked", true, plain(), plain(), works, works, works},
	{"server inside, AF21 throughout", true, plain(), pinned(dscp.AF21), works, works, noConnect},
	{"server inside, unmarked, then AF21", true, plain(), plain().then(dscp.AF21), reset, silence, silence},
	{"server inside, unmarked, then CS1", true, plain(), plain().then(dscp.CS1), reset, silence, silence},
	{"server inside, unmarked, then lowdelay", true, plain(), plain().then(dscp.LowDelay), works, silence, silence},
	{"server inside, AF21, then CS1, refused by the pin", true, plain(), pinned(dscp.AF21).thenRefused(dscp.CS1), works, works, noConnect},
	{"server inside, the client outside changes its mark", true, plain().then(dscp.AF21), plain(), works, works, works},
}

// boxes are the kinds of box: the rules for the kernel, the model for the relay.
var boxes = []struct {
	name  string
	rules func(*natlab.Lab)
	model dscptest.Model
	want  func(scenario) outcome
}{
	{"precedence", func(l *natlab.Lab) { l.Judge(natlab.Precedence, "reject with tcp reset") }, dscptest.VMware, func(s scenario) outcome { return s.precedence }},
	{"flow key", func(l *natlab.Lab) { l.Judge(natlab.CodePoint, "drop") }, dscptest.FlowKey, func(s scenario) outcome { return s.codePoint }},
	{"lost marks", (*natlab.Lab).DropMarked, dscptest.DropMarked(), func(s scenario) outcome { return s.dropped }},
}

// TestAgree runs every scenario through a NAT of the kernel and through the relay of
// dscptest. Both must do what the table says.
func TestAgree(t *testing.T) {
	t.Parallel() // it mostly waits for timeouts
	if !testns.Inside(t) {
		return
	}
	for _, box := range boxes {
		lab := natlab.New(t)
		box.rules(lab)
		for _, six := range []bool{false, true} {
			family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
			for _, s := range scenarios {
				want := box.want(s)
				t.Run(box.name+"/"+family+"/"+s.name+"/kernel", func(t *testing.T) {
					t.Parallel()
					serverNet, clientNet := lab.Outside, lab.Inside
					if s.serverInside {
						serverNet, clientNet = lab.Inside, lab.Outside
					}
					listen, dial := lab.Server(six, s.serverInside)
					var port uint16
					serverNet.Do(func() { port = serve(t, s.server, listen) })
					clientNet.Do(func() {
						assert.Equal(t, want, converse(t, s.client, netip.AddrPortFrom(dial, port).String(), want))
					})
				})
				t.Run(box.name+"/"+family+"/"+s.name+"/relay", func(t *testing.T) {
					t.Parallel()
					listen := map[bool]netip.Addr{false: netip.MustParseAddr("127.0.0.1"), true: netip.IPv6Loopback()}[six]
					port := serve(t, s.server, listen)
					side, want := dscptest.Client, want
					if s.serverInside {
						side = dscptest.Server
						if want == noConnect {
							want = mute // the relay has sent its SYN-ACK by then, as its documentation says
						}
					}
					relay, err := dscptest.Config{
						Upstream: netip.AddrPortFrom(listen, port).String(),
						Models:   []dscptest.Model{box.model},
						Inside:   side,
					}.Start()
					require.NoError(t, err)
					defer relay.Close() //nolint:errcheck // its error does not matter here
					assert.Equal(t, want, converse(t, s.client, relay.Addr(), want))
				})
			}
		}
	}
}

// serve accepts one connection and echoes each octet. It makes its change after the first
// octet.
func serve(t *testing.T, h host, address netip.Addr) (port uint16) {
	t.Helper()
	l, err := h.listen(t.Context(), "tcp", netip.AddrPortFrom(address, 0).String())
	require.NoError(t, err)
	over, end := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return // the scenario is over without a connection
		}
		defer c.Close() //nolint:errcheck // it may be reset
		// The end of the client's connection may never arrive here.
		stop := context.AfterFunc(over, func() { c.Close() }) //nolint:errcheck,gosec // the same
		defer stop()
		answer(over, t, c, h)
	}()
	t.Cleanup(func() {
		end()
		assert.NoError(t, l.Close())
		<-served
	})
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// answer echoes octets until it fails. The client checks what arrives.
func answer(over context.Context, t *testing.T, c net.Conn, h host) {
	b := make([]byte, 1)
	for i := 0; ; i++ {
		if _, err := c.Read(b); err != nil {
			return
		}
		if i == 1 && h.change != nil {
			if err := h.change(c); over.Err() == nil { // otherwise the client did not wait for it
				assert.NoError(t, err)
			}
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// How long the client waits for an answer. If none is expected a short time is enough.
const (
	long  = 10 * time.Second
	short = 250 * time.Millisecond
	nudge = 50 * time.Millisecond
)

// converse connects and sends an octet four times. It makes its change after the first
// answer.
func converse(t *testing.T, h host, address string, want outcome) outcome {
	t.Helper()
	connecting := long
	if want == noConnect {
		connecting = short
	}
	ctx, cancel := context.WithTimeout(t.Context(), connecting)
	defer cancel()
	c, err := h.dial(ctx, "tcp", address)
	if isTimeout(err) {
		return noConnect
	}
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // it may be reset
	wait := long
	for i := range uint8(4) {
		if i == 1 && h.change != nil {
			require.NoError(t, h.change(c))
		}
		if i == 0 && want == mute || i > 0 && want == silence {
			wait = short
		}
		switch err := ask(c, i, wait); {
		case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
			return reset
		case isTimeout(err) && i == 0:
			return mute
		case isTimeout(err):
			return silence
		default:
			require.NoError(t, err)
		}
	}
	return works
}

// ask sends an octet and waits for it to come back. It sends it again from time to time,
// because a client notices a reset that only the server got when it sends.
func ask(c net.Conn, octet uint8, wait time.Duration) error {
	late := time.Now().Add(wait)
	for {
		if _, err := c.Write([]byte{octet}); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(nudge)); err != nil {
			return err
		}
		for b := []byte{octet + 1}; b[0] != octet; { // earlier octets may have been sent again
			_, err := c.Read(b)
			if isTimeout(err) && time.Now().Before(late) {
				break
			}
			if err != nil {
				return err
			}
			if b[0] == octet {
				return nil
			}
		}
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
