package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// patienceWithClients is how long a client may be silent.
const patienceWithClients = time.Minute

// mostClients is the number of clients that are served at a time.
const mostClients = 256

// serve reports to clients which marks arrive, until ctx ends. It calls started when it
// listens, and returns if that fails.
func serve(ctx context.Context, address string, started func(net.Addr) error) error {
	lc := dscp.ListenConfig{NetListenConfig: &net.ListenConfig{Control: receiveMarks}}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	w := watchSegments(ctx, l.Addr().(*net.TCPAddr).Port)
	defer w.close()
	if err := started(l.Addr()); err != nil {
		return err
	}
	var clients sync.WaitGroup
	defer clients.Wait()
	room := make(chan struct{}, mostClients)
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // for example, too many open files
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			c.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-room }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			answer(c.(*dscp.Conn), w)
		})
	}
}

// answer answers the questions of one client.
func answer(c *dscp.Conn, w *segmentWatch) {
	l := newLookout(c, w)
	defer l.close()
	questions := bufio.NewReader(io.LimitReader(c, longestLine))
	for {
		if err := c.SetDeadline(time.Now().Add(patienceWithClients)); err != nil {
			return
		}
		line, err := questions.ReadString('\n')
		if err != nil || line != question {
			return
		}
		text, err := json.Marshal(l.look())
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(c, "%s\n", text); err != nil {
			return
		}
	}
}
