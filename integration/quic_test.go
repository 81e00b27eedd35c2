package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// serveQUIC echoes each stream and returns the client's configuration. With a nil log
// nothing is traced.
func serveQUIC(tb testing.TB, pc net.PacketConn, log *ecnLog) *tls.Config {
	tb.Helper()
	serverTLS, clientTLS := certificate(tb, "echo")
	tr := &quic.Transport{Conn: pc}
	l, err := tr.Listen(serverTLS, log.config())
	if err != nil {
		tb.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			serving.Go(func() { echoStreams(c) })
		}
	})
	tb.Cleanup(func() {
		if err := errors.Join(l.Close(), tr.Close(), pc.Close()); err != nil {
			tb.Error(err)
		}
		serving.Wait()
	})
	return clientTLS
}

// dialQUIC connects through pc, which it closes when the test ends.
func dialQUIC(tb testing.TB, pc net.PacketConn, to net.Addr, config *tls.Config, log *ecnLog) *quic.Conn {
	tb.Helper()
	tr := &quic.Transport{Conn: pc}
	tb.Cleanup(func() {
		if err := errors.Join(tr.Close(), pc.Close()); err != nil {
			tb.Error(err)
		}
	})
	c, err := tr.Dial(tb.Context(), to, config, log.config())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func echoStreams(c *quic.Conn) {
	for {
		st, err := c.AcceptStream(context.Background())
		if err != nil {
			return
		}
		// After an error the stream is reset, so the other end fails.
		_, _ = io.Copy(st, st)
		_ = st.Close()
	}
}

// transfer sends n bytes and compares the echo.
func transfer(ctx context.Context, c *quic.Conn, n int) error {
	st, err := c.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	sent := make(chan error, 1)
	go func() {
		_, err := st.Write(payload)
		sent <- errors.Join(err, st.Close())
	}()
	back, err := io.ReadAll(st)
	if err = errors.Join(err, <-sent); err != nil {
		return err
	}
	if !bytes.Equal(payload, back) {
		return fmt.Errorf("sent %d bytes, got %d other bytes back", len(payload), len(back))
	}
	return nil
}

// An ecnLog records the ECN state of one end of a QUIC connection: the result of path
// validation (RFC 9000, section 13.4.2), and the largest counts in the peer's
// acknowledgements.
type ecnLog struct {
	mu             sync.Mutex
	state          qlog.ECNState
	ect0, ect1, ce uint64
}

func (l *ecnLog) config() *quic.Config {
	if l == nil {
		return nil
	}
	return &quic.Config{Tracer: func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return l }}
}

// AddProducer implements qlogwriter.Trace.
func (l *ecnLog) AddProducer() qlogwriter.Recorder { return l }

// SupportsSchemas implements qlogwriter.Trace.
func (l *ecnLog) SupportsSchemas(string) bool { return false }

// Close implements qlogwriter.Recorder.
func (l *ecnLog) Close() error { return nil }

// RecordEvent implements qlogwriter.Recorder.
func (l *ecnLog) RecordEvent(e qlogwriter.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case qlog.ECNStateUpdated:
		l.state = e.State
	case qlog.PacketReceived:
		for _, f := range e.Frames {
			if ack, ok := f.Frame.(*qlog.AckFrame); ok {
				l.ect0, l.ect1, l.ce = max(l.ect0, ack.ECT0), max(l.ect1, ack.ECT1), max(l.ce, ack.ECNCE)
			}
		}
	}
}

func (l *ecnLog) read() (state qlog.ECNState, ect0, ect1, ce uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.ect0, l.ect1, l.ce
}
