package sshclass_test

import (
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/examples/sshclass"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestMarksOnTheWire claims that a terminal and a transfer at the same time use two
// connections to OpenSSH's server, and that all packets of each have one mark.
func TestMarksOnTheWire(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for name, tt := range map[string]struct {
		listen           string
		q                dscp.IPQoS
		natSafe          bool
		interactive, all dscp.CodePoint
	}{
		"IPv4":     {listen: "127.0.0.1", q: dscp.OpenSSH78, interactive: dscp.AF21, all: dscp.CS1},
		"IPv6":     {listen: "[::1]", q: dscp.OpenSSH78, interactive: dscp.AF21, all: dscp.CS1},
		"NAT-safe": {listen: "127.0.0.1", q: dscp.OpenSSH78, natSafe: true, interactive: dscp.LowDelay, all: dscp.Throughput},
		"none":     {listen: "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			key := sshtest.NewKey(t, "")
			sshd := sshtest.StartSSHD(t, key, "ListenAddress "+tt.listen)
			server := netip.MustParseAddrPort(sshd.Addr)
			capture := wire.Start(t, "lo", server.Port())
			c := &sshclass.Client{
				Addr:   sshd.Addr,
				IPQoS:  tt.q,
				Dialer: dscp.Dialer{NATSafe: tt.natSafe},
				Config: &ssh.ClientConfig{
					User:            sshd.User,
					Auth:            []ssh.AuthMethod{ssh.PublicKeys(key.Signer)},
					HostKeyCallback: ssh.FixedHostKey(sshd.HostKey),
				},
			}
			var both sync.WaitGroup
			both.Go(func() { typeIntoShell(t, c) })
			both.Go(func() { transfer(t, c) })
			both.Wait()
			require.NoError(t, c.Close())

			ports := map[string]uint16{}
			packets := capture.Until(wire.Closed(2))
			marks := map[uint16]map[dscp.CodePoint]int{}
			for _, p := range packets {
				if p.Dst != server || p.Ownerless() {
					continue
				}
				if marks[p.Src.Port()] == nil {
					marks[p.Src.Port()] = map[dscp.CodePoint]int{}
				}
				marks[p.Src.Port()][dscp.CodePoint(p.DSCP())]++
				if p.Has(wire.SYN) {
					ports[dscp.CodePoint(p.DSCP()).String()] = p.Src.Port()
				}
			}
			require.Len(t, marks, 2, "one connection per class")
			for port, byMark := range marks {
				assert.Len(t, byMark, 1, "port %d changed its mark\n%s", port, wire.Text(packets))
			}
			for _, cp := range []dscp.CodePoint{tt.interactive, tt.all} {
				assert.Contains(t, ports, cp.String())
			}
		})
	}
}

func typeIntoShell(t *testing.T, c *sshclass.Client) {
	client, err := c.Interactive(t.Context())
	if !assert.NoError(t, err) {
		return
	}
	session, err := client.NewSession()
	if !assert.NoError(t, err) {
		return
	}
	defer session.Close()
	assert.NoError(t, session.RequestPty("dumb", 24, 80, nil))
	session.Stdin = strings.NewReader("echo $((6*7)); exit 3\n")
	var out strings.Builder
	session.Stdout = &out
	assert.NoError(t, session.Shell())
	var exit *ssh.ExitError
	if assert.ErrorAs(t, session.Wait(), &exit) {
		assert.Equal(t, 3, exit.ExitStatus())
	}
	assert.Contains(t, out.String(), "42")
}

func transfer(t *testing.T, c *sshclass.Client) {
	const size = 4 << 20
	client, err := c.Bulk(t.Context())
	if !assert.NoError(t, err) {
		return
	}
	session, err := client.NewSession()
	if !assert.NoError(t, err) {
		return
	}
	defer session.Close()
	session.Stdin = io.LimitReader(zeros{}, size)
	out, err := session.Output("cat")
	assert.NoError(t, err)
	assert.Len(t, out, size)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
