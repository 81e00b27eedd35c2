package sshclass_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
)

// A testServer is an SSH server in this process that accepts every client. It
// answers every command with the command itself, and forwards connections.
type testServer struct {
	l       net.Listener
	config  *ssh.ServerConfig
	key     ssh.PublicKey
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startServer() *testServer {
	config, signer := serverConfig()
	l, err := (&dscp.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &testServer{l: l, config: config, key: signer.PublicKey(), conns: map[net.Conn]bool{}}
	s.running.Go(s.accept)
	return s
}

// serverConfig returns a configuration that accepts every client, and its new host
// key.
func serverConfig() (*ssh.ServerConfig, ssh.Signer) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		panic(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	return config, signer
}

func (s *testServer) Addr() string { return s.l.Addr().String() }

// Config returns a client configuration for this server.
func (s *testServer) Config() *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "gopher", HostKeyCallback: ssh.FixedHostKey(s.key)}
}

// Drop closes all open connections.
func (s *testServer) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *testServer) Close() {
	s.l.Close()
	s.Drop()
	s.running.Wait()
}

func (s *testServer) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.running.Go(func() {
			s.serve(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *testServer) serve(c net.Conn) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	s.running.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			channel, requests, err := ch.Accept()
			if err == nil {
				s.running.Go(func() { session(channel, requests) })
			}
		case "direct-tcpip":
			s.running.Go(func() { forward(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, ch.ChannelType())
		}
	}
}

func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for req := range requests {
		var exec struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &exec) != nil {
			req.Reply(false, nil)
			continue
		}
		req.Reply(true, nil)
		io.WriteString(channel, exec.Command)
		channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, 0))
		return
	}
}

func forward(ch ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	target, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := ch.Accept()
	if err != nil {
		target.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { ssh.DiscardRequests(requests) })
	both.Go(func() { io.Copy(channel, target); channel.Close() })
	io.Copy(target, channel)
	target.Close()
	both.Wait()
}
