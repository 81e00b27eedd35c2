package dscp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// benchmarks are those that BenchmarkSealed runs in a sealed process.
var benchmarks = []struct {
	name string
	run  func(b *testing.B)
}{
	{"Dial", BenchmarkDial},
	{"Accept", BenchmarkListener},
	{"SetDSCP", BenchmarkSetDSCP},
	{"Setters", BenchmarkSetters},
	{"Probe", BenchmarkProbe},
	{"SystemCall", BenchmarkSystemCall},
	{"HTTP", BenchmarkHTTP},
}

// reportCPU starts to measure the CPU time of the process, which other load on the
// machine disturbs less than elapsed time. The function that it returns reports the
// CPU time as cpu-ns/op.
func reportCPU(b *testing.B) (report func()) {
	b.Helper()
	b.ReportAllocs()
	spent := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

// byHand marks a socket as a program without this package does. Under Seal it fails.
func byHand(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp.AF21.TOS()))
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// BenchmarkDial dials and closes TCP connections.
func BenchmarkDial(b *testing.B) {
	l := benchListener(b, net.Listen)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, c) //nolint:errcheck,gosec // until the client leaves
				c.Close()              //nolint:errcheck,gosec // the same
			}()
		}
	}()
	for _, d := range []struct {
		name string
		dial dialing
	}{
		{"unmarked", (&net.Dialer{}).Dial},
		{"by hand", (&net.Dialer{Control: byHand}).Dial},
		{"pinned", dialled(dscp.Dialer{DSCP: dscp.AF21})},
	} {
		b.Run(d.name, func(b *testing.B) {
			if c, err := d.dial("tcp4", l.Addr().String()); err != nil {
				b.Skip(err) // byHand under Seal
			} else {
				require.NoError(b, c.Close())
			}
			defer reportCPU(b)()
			for b.Loop() {
				c, err := d.dial("tcp4", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				c.(interface{ SetLinger(sec int) error }).SetLinger(0) //nolint:errcheck,gosec // leaves no port in TIME_WAIT
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchListener(b *testing.B, listen listening) net.Listener {
	b.Helper()
	l, err := listen("tcp4", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() }) //nolint:errcheck,gosec // a listener
	return l
}

// BenchmarkListener accepts connections that the same goroutine dials.
func BenchmarkListener(b *testing.B) {
	plain := func(network, address string) (net.Listener, error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		return lc.Listen(context.Background(), network, address)
	}
	for _, side := range []struct {
		name   string
		listen listening
	}{{"net", plain}, {"pinned", listened(dscp.ListenConfig{DSCP: dscp.AF21})}} {
		b.Run(side.name, func(b *testing.B) {
			l := benchListener(b, side.listen)
			defer reportCPU(b)()
			for b.Loop() {
				c, err := net.Dial("tcp4", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				c.(*net.TCPConn).SetLinger(0) //nolint:errcheck,gosec // leaves no port in TIME_WAIT
				c.Close()                     //nolint:errcheck,gosec // the same
				s.Close()                     //nolint:errcheck,gosec // the same
			}
		})
	}
}

// benchConn returns a pinned conn of the family.
func benchConn(b *testing.B, f family) *dscp.Conn {
	b.Helper()
	l, err := net.Listen(f.network, f.listen)
	require.NoError(b, err)
	defer l.Close() //nolint:errcheck // a listener
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() }) //nolint:errcheck,gosec // nothing is lost
	return c.(*dscp.Conn)
}

// BenchmarkSetDSCP sets the mark that the conn has, and another one, which is refused.
func BenchmarkSetDSCP(b *testing.B) {
	c := benchConn(b, families[0])
	for name, cp := range map[string]dscp.CodePoint{"the same": dscp.AF21, "another": dscp.CS1} {
		b.Run(name, func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				_ = c.SetDSCP(cp)
			}
		})
	}
}

// BenchmarkSetters sets options through x/net on a bare and on a pinned conn.
func BenchmarkSetters(b *testing.B) {
	for _, f := range families[:2] {
		c := benchConn(b, f)
		for _, side := range []struct {
			name string
			conn net.Conn
		}{{"bare", c.TCPConn}, {"pinned", c}} {
			v4, v6 := ipv4.NewConn(side.conn), ipv6.NewConn(side.conn)
			ttl, mark := func() error { return v4.SetTTL(44) }, func() error { return v4.SetTOS(int(dscp.AF21.TOS())) }
			if f.name == "IPv6" {
				ttl, mark = func() error { return v6.SetHopLimit(44) }, func() error { return v6.SetTrafficClass(int(dscp.AF21.TOS())) }
			}
			b.Run(f.name+"/TTL/"+side.name, func(b *testing.B) {
				defer reportCPU(b)()
				for b.Loop() {
					if err := ttl(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(f.name+"/mark/"+side.name, func(b *testing.B) {
				defer reportCPU(b)()
				for b.Loop() {
					_ = mark() // an error under Seal
				}
			})
		}
	}
}

// BenchmarkProbe peeks at the receive queue, as connection pools do to find out
// whether a conn is still up.
func BenchmarkProbe(b *testing.B) {
	for _, f := range families[:2] {
		c := benchConn(b, f)
		for _, side := range []struct {
			name string
			conn syscall.Conn
		}{{"bare", c.TCPConn}, {"pinned", c}} {
			b.Run(f.name+"/"+side.name, func(b *testing.B) {
				buf := make([]byte, 1)
				defer reportCPU(b)()
				for b.Loop() {
					raw, err := side.conn.SyscallConn()
					if err == nil {
						err = raw.Read(func(fd uintptr) bool {
							_, _, _ = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
							return true
						})
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSystemCall measures a system call that does almost nothing.
func BenchmarkSystemCall(b *testing.B) {
	defer reportCPU(b)()
	for b.Loop() {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0) //nolint:errcheck // it cannot fail
	}
}

// BenchmarkHTTP makes requests over unmarked connections.
func BenchmarkHTTP(b *testing.B) {
	l := benchListener(b, net.Listen)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello") //nolint:errcheck,gosec // the client's Get would fail
	})}
	go server.Serve(l)                   //nolint:errcheck // always fails when the benchmark ends
	b.Cleanup(func() { server.Close() }) //nolint:errcheck,gosec // the same
	for name, closes := range map[string]bool{"kept alive": false, "new connections": true} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: closes}}
			defer client.CloseIdleConnections()
			defer reportCPU(b)()
			for b.Loop() {
				resp, err := client.Get("http://" + l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body) //nolint:errcheck,gosec // five octets
				resp.Body.Close()              //nolint:errcheck,gosec // the same
			}
		})
	}
}

// BenchmarkSealed runs the others in a child process that calls Seal.
func BenchmarkSealed(b *testing.B) {
	if os.Getenv(childEnv) == b.Name() {
		require.NoError(b, dscp.Seal())
		for _, other := range benchmarks {
			b.Run(other.name, other.run)
		}
		return
	}
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.CommandContext(b.Context(), self, "-test.run=^$", "-test.bench=^"+b.Name()+"$")
	cmd.Env = append(os.Environ(), childEnv+"="+b.Name())
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, b.Name()+"/") {
			os.Stdout.WriteString(line) //nolint:errcheck,gosec // package testing ignores it, too
		}
	}
}
