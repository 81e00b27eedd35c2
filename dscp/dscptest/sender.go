package dscptest

import "time"

// A sender writes to one endpoint what a pump has read off the other.
type sender interface {
	send(b []byte) bool // false if the endpoint is gone
	sendEOF()
	finish() // nothing more will be sent; waits for what is under way
}

// newSender returns the sender for a pump.
func (f *tcpFlow) newSender(from, to *endpoint) sender {
	now := directSender{f, from, to}
	if f.box.config.Delay == 0 {
		return now
	}
	s := &delayedSender{
		directSender: now,
		line:         newDelayLine[[]byte](f.box.config.Delay, f.box.stopping.Done()),
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

func (s directSender) send(b []byte) bool {
	_, err := s.to.conn.Write(b)
	return err == nil || s.flow.writeFailed(s.from)
}

func (s directSender) sendEOF() { s.to.conn.CloseWrite() }
func (s directSender) finish()  {}

// A delayedSender sends from a goroutine of its own, some time later.
type delayedSender struct {
	directSender
	line *delayLine[[]byte] // nil is EOF
	done chan struct{}
}

func (s *delayedSender) send(b []byte) bool {
	s.line.push(append([]byte(nil), b...))
	return true
}

func (s *delayedSender) sendEOF() { s.line.push(nil) }

func (s *delayedSender) finish() {
	close(s.line.items)
	<-s.done
}

func (s *delayedSender) run() {
	defer close(s.done)
	alive := true
	s.line.run(func(b []byte) {
		switch {
		case !alive:
		case b == nil:
			s.directSender.sendEOF()
		case !s.directSender.send(b):
			alive = false
			s.from.conn.SetReadDeadline(time.Now()) // the pump has to end too
		}
	})
}
