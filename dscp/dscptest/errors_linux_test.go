package dscptest_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestErrorTextsOfMiddlebox holds the texts of what a box on Linux cannot do.
func TestErrorTextsOfMiddlebox(t *testing.T) {
	t.Parallel()
	dscptest.Require(t, dscptest.BoxIPv4)
	var missing *dscp.UnsupportedError
	sensor := func(upstream string, s dscptest.Sensor) error {
		box, err := dscptest.Config{Upstream: upstream, Sensor: s}.Start()
		if err == nil {
			box.Close()
		}
		return err
	}
	for _, e := range []errorText{
		{name: "a sensor of the other family", is: errors.ErrUnsupported, as: &missing,
			call: func(*testing.T) error { return sensor("127.0.0.1:22", dscptest.WireLatest) },
			text: `dscptest: starting middlebox for upstream 127.0.0.1:port: dscp: unsupported on linux: ` +
				`wire, latest segment on tcp4: no such sensor for this family`},
		{name: "a sensor that needs a privilege", is: syscall.EPERM, as: &missing,
			call: func(t *testing.T) error {
				return unprivileged(t, func() error { return sensor("127.0.0.1:22", dscptest.WireEvery) })
			},
			text: `dscptest: starting middlebox for upstream 127.0.0.1:port: dscp: unsupported on linux: ` +
				`AF_PACKET on tcp4: socket(AF_PACKET): operation not permitted`},
		{name: "SYN of a listener that saves none",
			call: func(t *testing.T) error {
				var lc net.ListenConfig
				lc.SetMultipathTCP(false)
				l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
				require.NoError(t, err)
				defer l.Close()
				client, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				defer client.Close()
				server, err := l.Accept()
				require.NoError(t, err)
				defer server.Close()
				_, err = dscptest.SYN(server)
				return err
			},
			text: `dscptest: no SYN was saved: accept the connection from a listener of dscp.ListenConfig`},
		{name: "Wait until the context ends", is: context.Canceled,
			call: func(t *testing.T) error {
				box := dscptest.NewMiddlebox(t, "127.0.0.1:22")
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, err := box.Wait(ctx, func(dscptest.Flow) bool { return false })
				return err
			},
			text: `dscptest: waiting for a flow: context canceled; there was none`},
	} {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.run(t)
		})
	}
}

// unprivileged calls f on a thread that has no capability. The thread ends with it.
func unprivileged(t *testing.T, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: no other goroutine gets the thread
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Errorf("dropping the capabilities: %v", err)
		}
		result <- f()
	}()
	return <-result
}
