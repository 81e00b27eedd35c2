package dscp_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// faultyGuards set the mark of a live conn, or another option, through the guard.
func faultyGuards() []operation {
	var all []operation
	for _, fam := range families {
		level, option := fam.sent()
		xnet := func(c *dscp.Conn, cp dscp.CodePoint) error {
			if option == syscall.IP_TOS {
				return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
			}
			return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
		}
		// An unknown closure has changed the mark only if its own call succeeded.
		raw := func(c *dscp.Conn, run func(syscall.RawConn, func(uintptr)) error) (done bool, err error) {
			r, err := c.SyscallConn()
			if err != nil {
				return false, err
			}
			err = run(r, func(fd uintptr) {
				done = syscall.SetsockoptInt(int(fd), level, option, int(dscp.CS1.TOS())) == nil
			})
			return done, err
		}
		for name, try := range map[string]func(c *dscp.Conn) (changed bool, err error){
			"x/net, another mark": func(c *dscp.Conn) (bool, error) { return true, xnet(c, dscp.CS1) },
			"x/net, the mark":     func(c *dscp.Conn) (bool, error) { return false, xnet(c, dscp.AF21) },
			"x/net, the TTL": func(c *dscp.Conn) (bool, error) {
				if fam.name == "IPv6" {
					return false, ipv6.NewConn(c).SetHopLimit(44)
				}
				return false, ipv4.NewConn(c).SetTTL(44)
			},
			"Control": func(c *dscp.Conn) (bool, error) {
				return raw(c, func(r syscall.RawConn, f func(uintptr)) error { return r.Control(f) })
			},
			"Read": func(c *dscp.Conn) (bool, error) {
				return raw(c, func(r syscall.RawConn, f func(uintptr)) error {
					return r.Read(func(fd uintptr) bool { f(fd); return true })
				})
			},
			"Write": func(c *dscp.Conn) (bool, error) {
				return raw(c, func(r syscall.RawConn, f func(uintptr)) error {
					return r.Write(func(fd uintptr) bool { f(fd); return true })
				})
			},
			"a harmless closure": func(c *dscp.Conn) (bool, error) {
				r, err := c.SyscallConn()
				if err != nil {
					return false, err
				}
				return false, r.Control(func(uintptr) {})
			},
			"SetDSCP": func(c *dscp.Conn) (bool, error) { return true, c.SetDSCP(dscp.CS1) },
			"Verify":  func(c *dscp.Conn) (bool, error) { return false, c.Verify() },
		} {
			all = append(all, operation{"guard/" + fam.name + "/" + name, func(t *testing.T, f *fault) { guard(t, f, fam, try) }})
		}
	}
	return all
}

func guard(t *testing.T, f *fault, fam family, try func(*dscp.Conn) (changed bool, err error)) {
	l, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).Listen(t.Context(), fam.network, fam.listen)
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	client, err := net.Dial("tcp", net.JoinHostPort(fam.dial, port))
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	c := server.(*dscp.Conn)

	var changed bool
	f.during(func() { changed, err = try(c) })
	if changed {
		require.Error(t, err, "a change without an error")
	}
	if _, marks := f.marking(); marks && f.failed[0].Number == unix.SYS_GETSOCKOPT {
		switch level, option := fam.sent(); {
		case !f.failed[0].Option(level, option):
			assert.Equal(t, changed, err != nil, "the option of the other family, which macOS never returns: %v", err)
		case f.errno == unix.ENOBUFS:
			require.ErrorIs(t, err, f.errno, "if the mark cannot be read, the flow is not touched")
		}
	}
	if err != nil && !changed {
		require.NotEmpty(t, f.failed, "%v", err)
		assert.NotErrorIs(t, err, dscp.ErrMidFlow, "no change was tried")
	}
	if held := c.Verify(); held != nil {
		// The kernel refused to restore the mark: the error must say it.
		require.ErrorIs(t, held, dscp.ErrMidFlow)
		require.ErrorIs(t, err, f.errno)
		require.ErrorContains(t, err, "restoring it failed")
		return
	}
	assert.Equal(t, dscp.AF21, f.sends(t, server, client), "on the wire")
}
