package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// opDeadline bounds operations that are fast on an idle machine; the machine may be
// busy.
const opDeadline = 40 * time.Second

// An exchange is what a client and a server do on one connection. The client first
// sends the number of the exchange, by which the server finds it in this process.
type exchange struct {
	id             uint64
	client, server end
	served         chan outcome // of the server's end
}

// An end is one end's part in an exchange.
type end struct {
	out     part // to send
	in      part // to receive
	sending sending
	receive receiving
	answers bool // it sends once it has received everything
	abort   bool // it resets the connection instead of ending it
	lingers bool // it leaves the connection as it is
	within  time.Duration
	siege   *siege // changes of the mark to try meanwhile, or nil
}

// An outcome is the result of one end.
type outcome struct {
	send, receive error
	wrong         error // of the mark
	received      int
	peer          dscp.CodePoint // the mark of the peer's SYN
	peerKnown     bool
}

// failure returns an error if anything was wrong at an end.
func (o outcome) failure(who string) error {
	if o.send == nil && o.receive == nil && o.wrong == nil {
		return nil
	}
	return fmt.Errorf("%s: send: %v; receive: %v; mark: %v", who, o.send, o.receive, o.wrong)
}

// run sends and receives at once, until both are done.
func (e end) run(c *dscp.Conn) (o outcome) {
	o.peer, o.peerKnown = c.PeerDSCP()
	if err := c.SetDeadline(time.Now().Add(e.within)); err != nil {
		o.wrong = err
		return o
	}
	received := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		if e.answers {
			<-received
		}
		if e.lingers { // it must send, however late: otherwise the box sees no change
			c.SetWriteDeadline(time.Now().Add(opDeadline)) //nolint:errcheck // the write tells
		}
		if o.send = e.sending(c, e.out); o.send != nil || e.lingers {
			return
		}
		if e.abort {
			c.SetLinger(0) //nolint:errcheck // Close is what counts
			o.send = c.Close()
			return
		}
		o.send = c.CloseWrite()
	})
	check := &checker{want: e.in}
	running.Go(func() {
		defer close(received)
		if o.receive = e.receive(check, c); o.receive == nil {
			o.receive = check.end()
		}
		o.received = check.got
	})
	if e.siege != nil {
		o.wrong = e.siege.lay(c)
	}
	running.Wait()
	if e.siege != nil && o.wrong == nil {
		o.wrong = c.Verify()
	}
	return o
}

// A registry has the exchanges that are in progress.
type registry struct {
	mu    sync.Mutex
	next  uint64
	known map[uint64]*exchange
}

// add gives an exchange its number.
func (r *registry) add(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[uint64]*exchange{}
	}
	r.next++
	x.id, x.served = r.next, make(chan outcome, 1)
	r.known[x.id] = x
}

// take removes an exchange and returns it, or nil if it was taken before.
func (r *registry) take(id uint64) *exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.known[id]
	delete(r.known, id)
	return x
}

// had reports whether there ever was an exchange with a number.
func (r *registry) had(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 0 < id && id <= r.next
}

// begin sends the number of an exchange and waits for the server's answer. If it
// fails, no server takes part in the exchange any more.
func (w *worker) begin(c *dscp.Conn, x *exchange) error {
	w.exchanges.add(x)
	err := c.SetDeadline(time.Now().Add(opDeadline))
	if err == nil {
		err = say(c, x.id)
	}
	if err == nil {
		var id uint64
		if id, err = hear(c); err == nil && id != x.id {
			err = fmt.Errorf("%w: number %#x instead of %#x", errWrong, id, x.id)
		}
	}
	if err != nil {
		c.Close()
		if w.exchanges.take(x.id) == nil {
			<-x.served
		}
	}
	return err
}

// say sends the number of an exchange.
func say(c io.Writer, id uint64) error {
	_, err := c.Write(binary.BigEndian.AppendUint64(nil, id))
	return err
}

// hear receives the number of an exchange.
func hear(c io.Reader) (uint64, error) {
	b := make([]byte, 8)
	_, err := io.ReadFull(c, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return binary.BigEndian.Uint64(b), err
}

// carryOut carries out both ends of an exchange on c.
func (w *worker) carryOut(c *dscp.Conn, x *exchange) (client, server outcome) {
	client = x.client.run(c)
	server = <-x.served
	w.tally.bytes.Add(int64(client.received + server.received))
	return client, server
}

// complete requires that all bytes of an exchange arrive at both ends of c.
func (w *worker) complete(c *dscp.Conn, x *exchange, mark dscp.CodePoint) (server outcome, err error) {
	if c.DSCP() != mark {
		return server, fmt.Errorf("the connection is marked %v instead of %v", c.DSCP(), mark)
	}
	if err := w.begin(c, x); err != nil {
		return server, err
	}
	client, server := w.carryOut(c, x)
	return server, errors.Join(client.failure("client"), server.failure("server"))
}

// exchange returns a random exchange that both ends finish.
func (w *worker) exchange() *exchange {
	up, down := w.part(), w.part()
	x := &exchange{
		client: end{out: up, in: down, sending: one(w, sendings), receive: one(w, receivings), within: opDeadline},
		server: end{out: down, in: up, sending: one(w, sendings), receive: one(w, receivings), within: opDeadline},
	}
	x.server.answers = w.chance(3)
	return x
}
