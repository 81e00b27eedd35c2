package dscptest

import "time"

// A sender writes to one endpoint what a pump has read off the other.
type sender interface {
	send(b []byte, urgent bool) bool // false if the endpoint is gone; urgent data is one byte
	sendEOF()
	finish() // waits for what is still to be sent; nothing more follows
}

// newSender returns the sender for a pump.
func (f *tcpFlow) newSender(from, to *endpoint) sender {
	now := directSender{f, from, to}
	if f.box.config.Delay == 0 {
		return now
	}
	s := &delayedSender{
		directSender: now,
		line:         newDelayLine[piece](f.box.config.Delay, f.box.stopping.Done()),
		done:         make(chan struct{}),
	}
	f.box.running.Go(s.run)
	return s
}

// A directSender sends at once.
type directSender struct {
	flow     *tcpFlow
	from, to *endpoint
}

func (s directSender) send(b []byte, urgent bool) bool {
	var err error
	if urgent {
		err = s.to.stream.WriteUrgent(b[0])
	} else {
		_, err = s.to.conn.Write(b)
	}
	return err == nil || s.flow.writeFailed(s.from)
}

func (s directSender) sendEOF() { s.to.conn.CloseWrite() }
func (s directSender) finish()  {}

// A delayedSender sends later, from its own goroutine.
type delayedSender struct {
	directSender
	line *delayLine[piece]
	done chan struct{}
}

// A piece is what a delayed sender sends at once.
type piece struct {
	b      []byte // nil is EOF
	urgent bool
}

func (s *delayedSender) send(b []byte, urgent bool) bool {
	s.line.push(piece{append([]byte(nil), b...), urgent})
	return true
}

func (s *delayedSender) sendEOF() { s.line.push(piece{}) }

func (s *delayedSender) finish() {
	close(s.line.items)
	<-s.done
}

func (s *delayedSender) run() {
	defer close(s.done)
	alive := true
	s.line.run(func(p piece) {
		switch {
		case !alive:
		case p.b == nil:
			s.directSender.sendEOF()
		case !s.directSender.send(p.b, p.urgent):
			alive = false
			s.from.conn.SetReadDeadline(time.Now()) // so that the pump ends, too
		}
	})
}
