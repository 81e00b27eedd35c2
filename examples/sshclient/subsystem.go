package main

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// A statusOf is the exit status of a subsystem if it is not 0.
type statusOf uint32

func (s statusOf) Error() string { return fmt.Sprint("exit status ", uint32(s)) }

// runSubsystem runs a subsystem on standard input and output. It does not use
// ssh.Session.RequestSubsystem, since ssh.Session.Wait does not work with it.
func (s *session) runSubsystem(name string) error {
	channel, requests, err := s.client.OpenChannel("session", nil)
	if err != nil {
		return err
	}
	defer channel.Close()
	ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{name}))
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the server does not have the subsystem " + name)
	}
	go func() {
		io.Copy(channel, s.stdin)
		channel.CloseWrite()
	}()
	var output sync.WaitGroup
	output.Go(func() { io.Copy(s.stdout, channel) })
	output.Go(func() { io.Copy(s.stderr, channel.Stderr()) })
	err = &ssh.ExitMissingError{}
	for req := range requests {
		var exit struct{ Status uint32 }
		if req.Type == "exit-status" && ssh.Unmarshal(req.Payload, &exit) == nil {
			err = nil
			if exit.Status != 0 {
				err = statusOf(exit.Status)
			}
		}
		if req.WantReply {
			req.Reply(false, nil)
		}
	}
	output.Wait()
	return err
}
