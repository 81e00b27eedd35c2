package sshclass

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// A slot holds the connection of one class.
type slot struct {
	turn   chan struct{} // a lock for the fields below; its capacity is one
	client *ssh.Client
	ended  chan struct{} // closed when client has ended
}

// get returns the open connection, or a new one from dial.
func (s *slot) get(ctx context.Context, dial func() (*ssh.Client, error)) (*ssh.Client, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another call to connect: %w", ctx.Err())
	}
	if s.client != nil {
		select {
		case <-s.ended:
		default:
			return s.client, nil
		}
	}
	client, err := dial()
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client.Wait()
	}()
	s.client, s.ended = client, ended
	return client, nil
}

// close ends the connection and waits until it has ended.
func (s *slot) close() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.client != nil {
		s.client.Close()
		<-s.ended
	}
}
