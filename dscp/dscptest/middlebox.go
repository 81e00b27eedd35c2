package dscptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// A Middlebox is a relay on loopback between a client and a server. Like a NAT in
// user space it ends the client's connection and makes its own to the upstream. It
// treats marks as its models say. All its methods may be called from several
// goroutines.
type Middlebox struct {
	config   Config
	chain    chain
	upstream netip.AddrPort
	network  string // "tcp4" or "tcp6"
	local    bool   // the upstream is in this network namespace
	kernel   kernel.Kernel
	listener *net.TCPListener
	udp      *net.UDPConn
	closers  []io.Closer    // its sockets, to be closed from the last to the first
	dropped  kernel.MarkSet // the marks of the SYNs that the models drop

	stopping context.Context // done when Close begins
	stop     context.CancelFunc
	running  sync.WaitGroup
	synACK   atomic.Uint32 // the mark of the listener's SYN-ACKs
	marking  sync.Mutex    // held while that mark is changed

	waiters atomic.Int32 // calls of Wait
	waiting sync.Mutex
	changed *sync.Cond // on waiting: changes is another number
	changes int        // how often a flow has changed while there were waiters
	closed  atomic.Bool

	mu       sync.Mutex
	records  []recorder // of every flow there was
	live     map[*tcpFlow]struct{}
	udpFlows map[netip.AddrPort]*udpFlow // by client
}

// A recorder has the record of a flow.
type recorder interface {
	record() Flow
}

// Start starts a box in front of upstream for programs that are not tests. It is
// short for [Config.Start] with an Upstream and Models.
func Start(upstream string, models ...Model) (*Middlebox, error) {
	return Config{Upstream: upstream, Models: models}.Start()
}

// A Config describes a [Middlebox]. Upstream is required; the zero value of
// every other field is useful.
type Config struct {
	// Upstream is the host:port that the box forwards to. It decides the
	// address family of the box.
	Upstream string

	// Models say how the box treats marks. Each judges what the one before
	// it let through, with the mark that the one before it left. Without a
	// model the box forwards everything and records what it saw.
	Models []Model

	// Inside is the side behind the NAT. The models judge only what that side
	// sends; the box forwards and records what the other side sends. Zero
	// means both sides, which is stricter than any one real box.
	Inside Side

	// Sensor is how the box learns marks. Empty means the best sensor that this
	// process may use. Start fails if the requested sensor is unavailable.
	Sensor Sensor

	// Delay is added to the payload in each direction. It is not added to the
	// handshake, which the kernel does.
	Delay time.Duration

	// SegmentSize is the maximum number of bytes of a TCP flow that the models
	// judge at once; see [Segment].Length. Zero means as many as one read
	// returned, up to 512 KiB, which is fastest. A model that acts at an offset
	// acts at most SegmentSize bytes after it. A datagram is not divided.
	SegmentSize int
}

// Start starts the box. The caller has to close it; in a test,
// [Config.NewMiddlebox] does.
//
// On an operating system where a box cannot learn marks, the error is a
// *[dscp.UnsupportedError]. It is one, too, if the sensor is [SocketOption], the
// upstream is outside this network namespace, and a model would judge what the
// upstream sends after the handshake. Inside set to [Client] avoids that.
func (c Config) Start() (*Middlebox, error) {
	upstream, err := c.check()
	if err != nil {
		return nil, err
	}
	return start(c, upstream)
}

// check reports what is wrong with c, and resolves the upstream.
func (c Config) check() (netip.AddrPort, error) {
	if c.Inside > Server {
		return netip.AddrPort{}, fmt.Errorf("dscptest: Config.Inside is %d: it must be Client, Server or zero", c.Inside)
	}
	if c.Delay < 0 {
		return netip.AddrPort{}, fmt.Errorf("dscptest: Config.Delay is negative: %v", c.Delay)
	}
	if c.SegmentSize < 0 {
		return netip.AddrPort{}, fmt.Errorf("dscptest: Config.SegmentSize is negative: %d", c.SegmentSize)
	}
	if strings.Contains(c.Upstream, "://") {
		return netip.AddrPort{}, fmt.Errorf("dscptest: upstream %q: want host:port, not a URL", c.Upstream)
	}
	if c.Upstream == "" {
		return netip.AddrPort{}, errors.New("dscptest: Config.Upstream is empty (want host:port)")
	}
	a, err := net.ResolveTCPAddr("tcp", c.Upstream)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("dscptest: upstream %q: %w", c.Upstream, err)
	}
	if a.IP == nil || a.Port == 0 {
		return netip.AddrPort{}, fmt.Errorf("dscptest: upstream %q: host and port are needed", c.Upstream)
	}
	return kernel.AddrPort(a), nil
}

// start starts a box. c has been checked.
func start(c Config, upstream netip.AddrPort) (*Middlebox, error) {
	v6 := upstream.Addr().Is6()
	k, err := kernel.Open(v6)
	if err != nil {
		return nil, fmt.Errorf("dscptest: starting middlebox for upstream %v: %w", upstream, err)
	}
	b := &Middlebox{
		config:   c,
		chain:    newChain(c.Models, c.Inside),
		upstream: upstream,
		network:  "tcp4",
		local:    isLocal(upstream.Addr()),
		kernel:   k,
		live:     make(map[*tcpFlow]struct{}),
	}
	if v6 {
		b.network = "tcp6"
	}
	b.changed = sync.NewCond(&b.waiting)
	b.stopping, b.stop = context.WithCancel(context.Background())
	if err := b.open(); err != nil {
		b.Close()
		return nil, fmt.Errorf("dscptest: starting middlebox for upstream %v: %w", upstream, err)
	}
	b.running.Go(b.accept)
	b.running.Go(b.serveUDP)
	return b, nil
}

// open makes the box's sockets. If it fails, Close closes those that it has made.
func (b *Middlebox) open() error {
	if err := b.openTCP(); err != nil {
		return err
	}
	if err := b.chooseSensor(); err != nil {
		return err
	}
	if err := b.checkSensorReach(); err != nil {
		return err
	}
	return b.openUDP()
}

// trialMark marks what a box sends to itself.
const trialMark = dscp.AF21

// try tests that the kernel does what the box relies on. If capturing fails and the
// user did not ask for it, try ends the capture and tests again.
func (b *Middlebox) try() error {
	cp := trialMark
	for b.dropped.Has(cp) {
		if cp = (cp + 1) & 63; cp == trialMark {
			return nil // every SYN is dropped
		}
	}
	err := b.kernel.Try(b.listener, b.network, cp)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() && b.dropped != 0 {
		// The kernel gave the SYN to the sink: it ignores the program. The sink's own
		// trial did not notice, since a slow kernel does not answer in time.
		return kernel.Unsupported(b.network, "SO_ATTACH_REUSEPORT_CBPF", fmt.Errorf("a SYN marked %v did not reach the box: %w", cp, err))
	}
	if err == nil || b.config.Sensor != "" || b.Sensor() != WireEvery {
		return err
	}
	if err := b.kernel.EndCapture(); err != nil {
		return err
	}
	return b.kernel.Try(b.listener, b.network, cp)
}

// chooseSensor chooses the best sensor, or the one in the Config.
func (b *Middlebox) chooseSensor() error {
	want := b.config.Sensor
	if want == "" || want == WireEvery {
		err := b.kernel.Capture(kernel.AddrPort(b.listener.Addr()).Port(), b.upstream, b.local)
		if err != nil && want == WireEvery {
			return kernel.Unsupported(b.network, "AF_PACKET", err)
		}
	}
	if want != "" && want != b.Sensor() {
		return kernel.Unsupported(b.network, string(want), errors.New("no such sensor for this family"))
	}
	return b.try()
}

// openTCP makes the listener, and the sink for the SYNs that the models drop.
func (b *Middlebox) openTCP() error {
	syn, _ := b.predictSYNACK(dscp.DF)
	out, err := b.forwardedSYNACK(syn)
	if err != nil {
		return err
	}
	b.dropped, err = b.chain.dropsSYNs(b.network)
	if err != nil {
		return err
	}
	lc := net.ListenConfig{Control: b.kernel.PrepareListener(out, b.dropped != 0), KeepAlive: -1}
	lc.SetMultipathTCP(false) // an MPTCP listener saves no SYNs and has no Traffic Class
	l, err := lc.Listen(b.stopping, b.network, loopback(b.network))
	if err != nil {
		return err
	}
	b.listener = l.(*net.TCPListener)
	b.closers = append(b.closers, b.listener)
	b.synACK.Store(uint32(out))
	if b.dropped == 0 {
		return nil
	}
	sink, err := b.kernel.OpenSYNSink(b.listener, b.network, b.dropped)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, sink) // after the listener, so that it is closed first
	return nil
}

// checkSensorReach fails if the models would judge what the server sends and the
// sensor cannot learn its marks.
func (b *Middlebox) checkSensorReach() error {
	if b.Sensor() != SocketOption || b.local {
		return nil
	}
	judges, err := b.chain.judgesLater(b.network, ServerToClient)
	if err != nil || !judges {
		return err
	}
	return kernel.Unsupported(b.network, "NETLINK_SOCK_DIAG", errors.New(
		"the kernel does not report on the socket of an upstream outside this network namespace; Config.Inside = Client judges the client alone"))
}

// predictSYNACK returns the mark of the SYN-ACK with which the upstream will answer
// a SYN marked syn; false if that is not known. For an upstream outside this network
// namespace the kernel might report on a local socket that listens on every address.
func (b *Middlebox) predictSYNACK(syn dscp.CodePoint) (dscp.CodePoint, bool) {
	if !b.local {
		return 0, false
	}
	return b.kernel.SYNACKMark(b.upstream, syn)
}

// forwardedSYNACK returns the mark that the models leave on a SYN-ACK marked cp.
func (b *Middlebox) forwardedSYNACK(cp dscp.CodePoint) (dscp.CodePoint, error) {
	s := Segment{Network: b.network, Direction: ServerToClient, Handshake: true, DSCP: cp}
	d, err := b.chain.judge(s, b.chain.history())
	return d.out, err
}

// accept takes connections until the listener is closed.
func (b *Middlebox) accept() {
	const longest = time.Second
	var wait time.Duration
	for {
		c, err := b.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // most likely too many open descriptors: try again later
			wait = min(max(2*wait, 5*time.Millisecond), longest)
			select {
			case <-b.stopping.Done():
				return
			case <-time.After(wait):
			}
			continue
		}
		wait = 0
		f := newTCPFlow(b, c)
		if !b.add(f) {
			f.abort()
			return
		}
		b.running.Go(f.run)
	}
}

// add registers a flow; it reports false if the box is closing.
func (b *Middlebox) add(f *tcpFlow) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping.Err() != nil {
		return false
	}
	b.records = append(b.records, f)
	f.rec.ID = len(b.records)
	b.live[f] = struct{}{}
	b.notify()
	return true
}

// remove removes a flow that is over; its record stays.
func (b *Middlebox) remove(f *tcpFlow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, f)
}

// Addr returns the host:port where the box listens for TCP: 127.0.0.1 for an
// IPv4 upstream, [::1] for an IPv6 one.
func (b *Middlebox) Addr() string { return b.listener.Addr().String() }

// UDPAddr returns the host:port where the box receives datagrams.
func (b *Middlebox) UDPAddr() string { return b.udp.LocalAddr().String() }

// Flows returns the record of every flow, in the order in which the flows began.
// The records are copies: a flow that is not over may change afterwards.
func (b *Middlebox) Flows() []Flow {
	b.mu.Lock()
	records := b.records[:len(b.records):len(b.records)]
	b.mu.Unlock()
	flows := make([]Flow, len(records))
	for i, r := range records {
		flows[i] = r.record()
	}
	return flows
}

// Wait waits until ok returns true for a flow, and returns the record of the first
// such flow. It calls ok with the flows that are there already, and again with each
// flow whenever one has changed. When ctx is done it fails with an error that wraps
// the cause. When the box is closed and ok is true for no flow, it fails with an
// error that wraps [net.ErrClosed].
func (b *Middlebox) Wait(ctx context.Context, ok func(Flow) bool) (Flow, error) {
	b.waiters.Add(1)
	defer b.waiters.Add(-1)
	stop := context.AfterFunc(ctx, b.wake)
	defer stop()
	for {
		b.waiting.Lock()
		seen := b.changes
		b.waiting.Unlock()
		closed := b.closed.Load() // read before the flows, so that those are final
		flows := b.Flows()
		for _, f := range flows {
			if ok(f) {
				return f, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return Flow{}, fmt.Errorf("dscptest: waiting for a flow: %w; %s", context.Cause(ctx), summary(flows))
		case closed:
			return Flow{}, fmt.Errorf("dscptest: waiting for a flow: %w; %s", net.ErrClosed, summary(flows))
		}
		b.waiting.Lock()
		for b.changes == seen {
			b.changed.Wait()
		}
		b.waiting.Unlock()
	}
}

// summary describes the last of some flows.
func summary(flows []Flow) string {
	if len(flows) == 0 {
		return "there was none"
	}
	return fmt.Sprintf("the last of %d is %v", len(flows), flows[len(flows)-1])
}

// notify wakes Wait, if there is a call of it, because a flow has changed.
func (b *Middlebox) notify() {
	if b.waiters.Load() != 0 {
		b.wake()
	}
}

// wake makes Wait look at the flows.
func (b *Middlebox) wake() {
	b.waiting.Lock()
	b.changes++
	b.waiting.Unlock()
	b.changed.Broadcast()
}

// Sensor returns how the box learns the marks of the segments after the SYN.
func (b *Middlebox) Sensor() Sensor { return sensorOf(b.kernel.Source()) }

// Close stops the box. It judges what has arrived on the connections that it still
// holds, and resets them. When it returns, no goroutine and no socket of the box is
// left. It returns an error if a box with [WireEvery] missed segments. It may be called
// more than once.
func (b *Middlebox) Close() error {
	b.mu.Lock()
	b.stop()
	var errs []error
	for _, c := range slices.Backward(b.closers) {
		errs = append(errs, c.Close())
	}
	b.closers = nil
	for f := range b.live {
		f.abort()
	}
	for _, f := range b.udpFlows {
		f.server.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
	b.closed.Store(true)
	b.wake()
	return errors.Join(append(errs, b.kernel.Close())...)
}

// loopback returns the address that a box of this network listens on.
func loopback(network string) string {
	if network == "tcp6" || network == "udp6" {
		return "[::1]:0"
	}
	return "127.0.0.1:0"
}

// dial connects to the upstream with a marked SYN.
func (b *Middlebox) dial(syn dscp.CodePoint) (*net.TCPConn, error) {
	d := net.Dialer{Control: b.kernel.PrepareDial(syn), KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d.DialTCP(b.stopping, b.network, netip.AddrPort{}, b.upstream)
}

// isLocal reports whether addr belongs to this network namespace.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == addr.WithZone("") {
				return true
			}
		}
	}
	return false
}

// setSYNACKMark sets the mark of the listener's SYN-ACKs.
func (b *Middlebox) setSYNACKMark(cp dscp.CodePoint) error {
	b.marking.Lock()
	defer b.marking.Unlock()
	if b.synACK.Load() == uint32(cp) {
		return nil
	}
	raw, err := b.listener.SyscallConn()
	if err != nil {
		return err
	}
	if err := b.kernel.SetMark(raw, cp); err != nil {
		return err
	}
	b.synACK.Store(uint32(cp))
	return nil
}
