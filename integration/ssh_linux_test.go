package integration

import (
	"errors"
	"io"
	"strings"
	"testing"

	gliderssh "github.com/gliderlabs/ssh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// TestSSH runs an interactive session and a bulk transfer over one connection. OpenSSH
// changes the mark between them; the pinned conn must not.
func TestSSH(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l := listen(t)
	w := watching(t, l.Addr())
	srv := &gliderssh.Server{Handler: func(s gliderssh.Session) {
		if _, windows, ok := s.Pty(); ok {
			go func() {
				for range windows {
				}
			}()
		}
		io.Copy(s, s)
	}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()

	raw, err := (&dscp.Dialer{DSCP: clientMark}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	sc, chans, reqs, err := ssh.NewClientConn(raw, "", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	require.NoError(t, err)
	client := ssh.NewClient(sc, chans, reqs)
	for _, tty := range []bool{true, false} {
		s, err := client.NewSession()
		require.NoError(t, err)
		if tty {
			require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
		}
		payload := strings.Repeat("typed\n", 50_000)
		s.Stdin = strings.NewReader(payload)
		b, err := s.Output("cat")
		require.NoError(t, err)
		assert.Len(t, strings.ReplaceAll(string(b), "\r", ""), len(payload))
	}
	require.NoError(t, raw.(*dscp.Conn).Verify())
	require.NoError(t, client.Close())
	w.flows(1, clientMark)
	require.NoError(t, srv.Close())
	if err := <-served; !errors.Is(err, gliderssh.ErrServerClosed) {
		t.Error(err)
	}
}
