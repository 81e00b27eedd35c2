package dscptest_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestNilTBPanics(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "dscptest: NewMiddlebox needs a testing.TB; programs use Start", func() {
		dscptest.NewMiddlebox(nil, "127.0.0.1:22")
	})
}

// TestUnsupportedSkipsTest asks for a box that the system cannot run: it skips the test,
// and fails it if CI is set.
func TestUnsupportedSkipsTest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("expects the error of Linux; on other systems no box can learn marks")
	}
	dscptest.Require(t, dscptest.BoxIPv4)
	// Socket options cannot show the marks of a remote IPv4 server.
	const elsewhere = "192.0.2.1:22"
	both := dscptest.Config{Upstream: elsewhere, Models: []dscptest.Model{dscptest.VMware}, Sensor: dscptest.SocketOption}
	start := func(tb testing.TB) { both.NewMiddlebox(tb) }

	t.Setenv("CI", "")
	r := &recorder{TB: t, skipping: true}
	start(r)
	require.Len(t, r.skips, 1)
	assert.Contains(t, r.skips[0], "Inside = Client")
	assert.Empty(t, r.errors)

	t.Setenv("CI", "true")
	r = &recorder{TB: t, skipping: true}
	start(r)
	assert.Empty(t, r.skips)
	require.Len(t, r.errors, 1)
	assert.Contains(t, r.errors[0], "Inside = Client")
	assert.Contains(t, r.errors[0], "(would be skipped, but CI is set)")

	_, err := both.Start()
	unsupported, ok := errors.AsType[*dscp.UnsupportedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "tcp4", unsupported.Network)
	assert.ErrorIs(t, err, errors.ErrUnsupported)

	client := both
	client.Inside = dscptest.Client
	box, err := client.Start()
	require.NoError(t, err, "the client can be judged")
	require.NoError(t, box.Close())
	idle := both
	idle.Models = nil
	box, err = idle.Start()
	require.NoError(t, err, "without a model the box does not need the marks")
	require.NoError(t, box.Close())
}

func TestRequireUnknownCapability(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("DSCPTEST_REQUIRE", "")
	r := &recorder{TB: t, skipping: true}
	dscptest.Require(r, dscptest.Capability(99))
	assert.Equal(t, []string{"dscptest: capability 99 is unavailable: no such capability"}, r.skips)
	t.Setenv("DSCPTEST_REQUIRE", "1") // counts on every system, CI on Linux alone
	dscptest.Require(r, dscptest.Capability(99))
	assert.Len(t, r.errors, 1)
}

// TestPanicFailsTest has a model panic: NewMiddlebox fails the test.
func TestPanicFailsTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	box := dscptest.NewMiddlebox(r, serve(t, "[::1]:0", echo), panicky)
	c := dial(t, box.Addr())
	require.NoError(t, mark(c, dscp.EF))
	c.Write([]byte("hello"))
	io.Copy(io.Discard, c)
	eventually(t, box, over)
	r.finish()
	require.Len(t, r.errors, 1)
	assert.Contains(t, r.errors[0], "panicked")
}

func TestSYNReturnsMark(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6, dscptest.DropSYN)
	eachFamily(t, func(t *testing.T, address string) {
		saving := func() (net.Listener, error) {
			return (&dscp.ListenConfig{}).Listen(t.Context(), "tcp", address)
		}
		client, server := accepted(t, saving, dscp.EF)
		for range 2 {
			cp, err := dscptest.SYN(wrapped{server})
			require.NoError(t, err)
			assert.Equal(t, dscp.EF, cp)
		}
		dscptest.RequireMark(t, server, dscp.EF)
		assert.Equal(t, []string{"the SYN of " + client.LocalAddr().String() + " carried EF, not AF21"},
			complaints(t, server, dscp.AF21))

		require.NoError(t, mark(client, dscp.CS1))
		assert.Equal(t, []string{"the SYN of " + client.LocalAddr().String() + " carried EF, and its socket is set to CS1 now"},
			complaints(t, server, dscp.EF))
	})
}

func TestSYNNeedsSavedSYN(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
		_, server := accepted(t, func() (net.Listener, error) { return net.Listen("tcp", address) }, dscp.EF)
		_, err := dscptest.SYN(server)
		require.ErrorContains(t, err, "dscp.ListenConfig")
	})
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := dscptest.SYN(a)
	require.ErrorContains(t, err, "no TCP connection under a *net.pipe")
}

// accepted returns both ends of a connection to a listener of lc. The client marks its
// SYN with cp.
func accepted(t testing.TB, listen func() (net.Listener, error), cp dscp.CodePoint) (client, server net.Conn) {
	t.Helper()
	l, err := listen()
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	client = dialMarked(t, l.Addr().String(), cp)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return client, server
}

// wrapped hides a connection as crypto/tls does.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// complaints returns the errors of RequireMark for a connection.
func complaints(t testing.TB, c net.Conn, cp dscp.CodePoint) []string {
	r := &recorder{TB: t}
	dscptest.RequireMark(r, c, cp)
	for i, e := range r.errors {
		r.errors[i] = e[len("dscptest: "):]
	}
	return r.errors
}
