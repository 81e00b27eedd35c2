package main

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// startSSH starts a server, and returns a function that logs in to it.
func startSSH(t *testing.T) (*sshServer, *keyring, func(user string, auth ssh.AuthMethod) (*ssh.Client, error)) {
	t.Helper()
	keys, err := newKeyring()
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := serveSSH(l, keys, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // some tests have closed it
	return s, keys, func(user string, auth ssh.AuthMethod) (*ssh.Client, error) {
		return ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
			User: user, Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.FixedHostKey(keys.host.PublicKey()),
		})
	}
}

func TestSSHAuthentication(t *testing.T) {
	s, keys, login := startSSH(t)
	signer, err := ssh.NewSignerFromKey(keys.client)
	require.NoError(t, err)
	strangers, err := newKeyring()
	require.NoError(t, err)
	stranger, err := ssh.NewSignerFromKey(strangers.client)
	require.NoError(t, err)

	for _, auth := range []ssh.AuthMethod{ssh.Password(keys.password), ssh.PublicKeys(signer)} {
		c, err := login(keys.user, auth)
		require.NoError(t, err)
		assert.NoError(t, c.Close())
		_, err = login("root", auth)
		assert.Error(t, err)
	}
	for _, auth := range []ssh.AuthMethod{ssh.Password(""), ssh.Password("guess"), ssh.PublicKeys(stranger)} {
		_, err := login(keys.user, auth)
		assert.Error(t, err)
	}
	assert.Equal(t, 2, s.Logins())
}

func TestSSHSessions(t *testing.T) {
	_, keys, login := startSSH(t)
	c, err := login(keys.user, ssh.Password(keys.password))
	require.NoError(t, err)
	defer c.Close()
	session := func() *ssh.Session {
		s, err := c.NewSession()
		require.NoError(t, err)
		return s
	}

	assert.Greater(t, len(flood), 64<<10)
	out, err := session().Output(floodCommand)
	assert.NoError(t, err)
	assert.True(t, bytes.Equal(flood, out))

	out, err = session().CombinedOutput("rm -rf /")
	var exit *ssh.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 127, exit.ExitStatus())
	assert.Equal(t, "rm -rf /: command not found\n", string(out))

	s := session()
	require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
	s.Stdin = bytes.NewBufferString("true\n" + floodCommand + "\nnonsense\nexit\n" + floodCommand + "\n")
	var typed bytes.Buffer
	s.Stdout = &typed
	require.NoError(t, s.Shell())
	require.ErrorAs(t, s.Wait(), &exit)
	assert.Equal(t, 127, exit.ExitStatus(), "of the last command before exit")
	assert.True(t, bytes.Equal(flood, typed.Bytes()))

	_, _, err = c.OpenChannel("direct-tcpip", nil)
	assert.Error(t, err)
}

// TestSSHClose claims that Close ends open sessions and idle connections.
func TestSSHClose(t *testing.T) {
	s, keys, login := startSSH(t)
	c, err := login(keys.user, ssh.Password(keys.password))
	require.NoError(t, err)
	session, err := c.NewSession()
	require.NoError(t, err)
	input, err := session.StdinPipe() // open, so that the shell waits
	require.NoError(t, err)
	defer input.Close()
	require.NoError(t, session.Shell())
	idle, err := net.Dial("tcp", s.Addr()) // sends nothing
	require.NoError(t, err)
	defer idle.Close()

	require.NoError(t, s.Close())
	assert.Error(t, session.Wait())
	assert.Error(t, c.Wait())
}
