package sshclass_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

func TestClientConnectsWhenNeeded(t *testing.T) {
	s := startServer()
	defer s.Close()
	asked := 0
	c := &sshclass.Client{Addr: s.Addr(), Config: s.Config(), IPQoS: dscp.OpenSSH78}
	c.Config.HostKeyCallback = func(string, net.Addr, ssh.PublicKey) error { asked++; return nil }
	defer c.Close()
	assert.Zero(t, asked)

	shell, err := c.Interactive(t.Context())
	require.NoError(t, err)
	again, err := c.Interactive(t.Context())
	require.NoError(t, err)
	assert.Same(t, shell, again)
	files, err := c.Bulk(t.Context())
	require.NoError(t, err)
	assert.NotSame(t, shell, files)
	assert.Equal(t, 1, asked, "one call for the same host key")
	assert.Equal(t, "one", command(t, shell, "one"))
	assert.Equal(t, "two", command(t, files, "two"))

	s.Drop()
	shell.Wait()
	require.Eventually(t, func() bool {
		again, err = c.Interactive(t.Context())
		return err == nil && again != shell
	}, 10*time.Second, time.Millisecond, "a connection that ended is replaced")
	assert.Equal(t, "three", command(t, again, "three"))
}

func TestClientAsksOnceForAHostKey(t *testing.T) {
	s := startServer()
	defer s.Close()
	var asked int // no lock: the callback never runs twice at a time
	c := &sshclass.Client{Addr: s.Addr(), Config: s.Config()}
	c.Config.HostKeyCallback = func(hostname string, _ net.Addr, key ssh.PublicKey) error {
		asked++
		assert.Equal(t, s.Addr(), hostname)
		return nil
	}
	defer c.Close()
	var both sync.WaitGroup
	for _, connect := range []func(context.Context) (*ssh.Client, error){c.Interactive, c.Bulk, c.Bulk, c.Interactive} {
		both.Go(func() {
			_, err := connect(t.Context())
			assert.NoError(t, err)
		})
	}
	both.Wait()
	assert.Equal(t, 1, asked)
}

func TestClientAsksAgainForAnotherHostKey(t *testing.T) {
	s, other := startServer(), startServer()
	defer s.Close()
	defer other.Close()
	c := &sshclass.Client{Addr: s.Addr(), Config: s.Config()}
	_, err := c.Interactive(t.Context())
	require.NoError(t, err)
	c.Addr = other.Addr() // stands for the same address on another machine
	_, err = c.Bulk(t.Context())
	assert.ErrorContains(t, err, "host key mismatch")
	require.NoError(t, c.Close())
}

func TestClientDoesNotKeepARefusedHostKey(t *testing.T) {
	s := startServer()
	defer s.Close()
	refuse := errors.New("refused by a test")
	c := &sshclass.Client{Addr: s.Addr(), Config: s.Config()}
	c.Config.HostKeyCallback = func(string, net.Addr, ssh.PublicKey) error { return refuse }
	defer c.Close()
	_, err := c.Interactive(t.Context())
	require.ErrorIs(t, err, refuse)
	_, err = c.Bulk(t.Context())
	require.ErrorIs(t, err, refuse)
}

func TestClientWithoutHostKeyCallback(t *testing.T) {
	s := startServer()
	defer s.Close()
	c := &sshclass.Client{Addr: s.Addr(), Config: &ssh.ClientConfig{}}
	defer c.Close()
	_, err := c.Interactive(t.Context())
	assert.ErrorContains(t, err, "must specify HostKeyCallback")
}

func TestClientTimeoutIsForConnecting(t *testing.T) {
	s := startServer()
	defer s.Close()
	c := &sshclass.Client{Addr: s.Addr(), Config: s.Config()}
	c.Config.Timeout = time.Nanosecond
	defer c.Close()
	_, err := c.Interactive(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestClientContext(t *testing.T) {
	addr, accepted := silent(t, "")
	c := &sshclass.Client{Addr: addr, Config: &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}}
	defer c.Close()
	first, cancelFirst := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := c.Interactive(first)
		result <- err
	}()
	peer := <-accepted // the first call is connecting
	defer peer.Close()

	waiting, cancelWaiting := context.WithCancel(t.Context())
	cancelWaiting()
	_, err := c.Interactive(waiting)
	require.ErrorIs(t, err, context.Canceled, "a call that waits for another ends with its context")

	cancelFirst()
	require.ErrorIs(t, <-result, context.Canceled)
}

func TestClientClose(t *testing.T) {
	t.Run("while connecting", func(t *testing.T) {
		addr, accepted := silent(t, "")
		c := &sshclass.Client{Addr: addr, Config: &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}}
		result := make(chan error)
		go func() {
			_, err := c.Bulk(context.Background())
			result <- err
		}()
		peer := <-accepted
		defer peer.Close()
		require.NoError(t, c.Close())
		err := <-result
		require.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorContains(t, err, addr)
	})
	t.Run("with a connection", func(t *testing.T) {
		s := startServer()
		defer s.Close()
		c := &sshclass.Client{Addr: s.Addr(), Config: s.Config()}
		shell, err := c.Interactive(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		_, err = shell.NewSession()
		assert.Error(t, err)
		for range 50 {
			_, err = c.Interactive(t.Context())
			require.ErrorIs(t, err, net.ErrClosed)
		}
	})
	t.Run("of a zero Client", func(t *testing.T) {
		assert.NoError(t, new(sshclass.Client).Close())
	})
}
