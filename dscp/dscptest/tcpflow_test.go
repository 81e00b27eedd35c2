package dscptest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/nobody"
)

// TestBytesArriveAsSent sends a long stream through a box with a nil model and
// back, and a short one byte by byte.
func TestBytesArriveAsSent(t *testing.T) {
	size := int64(100 << 20)
	if testing.Short() {
		size = 4 << 20
	}
	eachFamily(t, func(t *testing.T, address string) {
		sums := make(chan [sha256.Size]byte, 1)
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			h := sha256.New()
			io.Copy(io.MultiWriter(c, h), c)
			sums <- [sha256.Size]byte(h.Sum(nil))
		}), nil)
		c := dial(t, box.Addr())
		require.NoError(t, c.SetDeadline(time.Now().Add(6*patience)))
		sent := sha256.New()
		go func() {
			source := io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
			io.CopyBuffer(io.MultiWriter(c, sent), struct{ io.Reader }{source}, make([]byte, 64<<10))
			c.CloseWrite()
		}()
		back := sha256.New()
		n, err := io.Copy(back, c)
		require.NoError(t, err)
		assert.Equal(t, size, n)
		want := <-sums
		assert.Equal(t, want[:], sent.Sum(nil), "at the server")
		assert.Equal(t, want[:], back.Sum(nil), "back at the client")
		f := eventually(t, box, over)
		assert.Equal(t, size, f.ClientBytes)
		assert.Equal(t, size, f.ServerBytes)
		assert.False(t, f.Changed())
	})
}

func TestSingleBytesArrive(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), nil, dscptest.VMware)
		c := dial(t, box.Addr())
		text := bytes.Repeat([]byte("one mark "), 300)
		go func() {
			io.Copy(struct{ io.Writer }{c}, iotest.OneByteReader(bytes.NewReader(text)))
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Equal(t, text, got)
	})
}

func TestHalfClosesAreForwarded(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("client first", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
				asked, _ := io.ReadAll(c)
				c.Write(append(asked, ", and heard"...))
			}), dscptest.VMware)
			c := dial(t, box.Addr())
			_, err := io.WriteString(c, "said")
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, "said, and heard", string(got))
			eventually(t, box, over)
		})
		t.Run("server first", func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 1)
			box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
				io.WriteString(c, "go on")
				c.(*net.TCPConn).CloseWrite()
				got, _ := io.ReadAll(c)
				heard <- string(got)
			}), dscptest.VMware)
			c := dial(t, box.Addr())
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, "go on", string(got))
			_, err = io.WriteString(c, "said after your FIN")
			require.NoError(t, err)
			require.NoError(t, c.Close())
			assert.Equal(t, "said after your FIN", <-heard)
			assert.NoError(t, eventually(t, box, over).Err)
		})
	})
}

func TestUpstreamDownResetsClient(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		upstream := nobody.Listens(t, address)
		box := dscptest.NewMiddlebox(t, upstream, dscptest.VMware)
		c, err := net.Dial("tcp", box.Addr())
		if err == nil { // the reset may be faster than Dial
			_, err = io.Copy(io.Discard, c)
			assert.True(t, broken(c, err), "%v", err)
			require.NoError(t, c.Close())
		} else {
			require.ErrorIs(t, err, errReset)
		}
		f := eventually(t, box, over)
		require.ErrorIs(t, f.Err, errRefused)
		assert.ErrorContains(t, f.Err, upstream)
		assert.False(t, f.Answered)
	})
}

// TestResetsAreForwarded resets one side: the box must reset the other.
func TestResetsAreForwarded(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("from the server", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
				io.ReadFull(c, make([]byte, 5))
				c.(*net.TCPConn).SetLinger(0)
			}), dscptest.VMware)
			c := dial(t, box.Addr())
			err := ask(c, "hello")
			assert.True(t, broken(c, err), "%v", err)
			assert.Equal(t, dscptest.Pass, eventually(t, box, over).Verdict, "no verdict")
		})
		t.Run("from the client", func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
				_, err := io.Copy(c, c)
				ended <- err
			}), dscptest.VMware)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "hello"))
			require.NoError(t, c.SetLinger(0))
			require.NoError(t, c.Close())
			select {
			case err := <-ended:
				assert.ErrorIs(t, err, errReset)
			case <-time.After(patience):
				t.Error("the server was not reset")
			}
			eventually(t, box, over)
		})
	})
}

// TestServerAnswerArrivesBeforeReset has the server refuse an upload. It answers, and
// closes with most of the upload unread. The answer has to arrive.
func TestServerAnswerArrivesBeforeReset(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			io.ReadFull(c, make([]byte, 10))
			io.WriteString(c, "too large")
		}), dscptest.VMware)
		c := dial(t, box.Addr())
		go c.Write(make([]byte, 1<<20))
		got := make([]byte, len("too large"))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		assert.Equal(t, "too large", string(got))
		eventually(t, box, over)
	})
}

// TestShortFlowsAreJudgedRight runs many flows through one box. Half of them are marked
// from the SYN on, and half change their mark. No verdict may be wrong.
func TestShortFlowsAreJudgedRight(t *testing.T) {
	flows := 1000
	if testing.Short() {
		flows = 200
	}
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.VMware)
		var (
			wg    sync.WaitGroup
			slots = make(chan struct{}, 50)
			mu    sync.Mutex
			wrong []error
		)
		for i := range flows {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := shortFlow(box.Addr(), i%2 == 0); err != nil {
					mu.Lock()
					wrong = append(wrong, err)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		assert.Empty(t, wrong)
		require.Eventually(t, func() bool {
			for _, f := range box.Flows() {
				if !f.Over {
					return false
				}
			}
			return true
		}, patience, time.Millisecond)
		got := box.Flows()
		assert.Len(t, got, flows)
		for i, f := range got {
			assert.Equal(t, i+1, f.ID)
			assert.Equal(t, f.SYN == dscp.DF, f.Verdict == dscptest.Reset, "%v", f)
		}
	})
}

// shortFlow makes one flow. If constant, it is marked from the SYN on, and otherwise
// later.
func shortFlow(address string, constant bool) error {
	d := net.Dialer{Timeout: patience}
	if constant {
		d.Control = dscp.Control(dscp.AF21)
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if err := ask(c, "hello"); err != nil || constant {
		return err
	}
	if err := mark(c, dscp.AF21); err != nil {
		return err
	}
	err = ask(c, "again")
	if err == nil {
		return errors.New("a flow that changed its mark was not reset")
	}
	if !broken(c, err) {
		return err
	}
	return nil
}

// panicky panics for one mark, after the handshake.
func panicky(s dscptest.Segment) dscptest.Verdict {
	if !s.Handshake && s.DSCP == dscp.EF {
		panic("no voice here")
	}
	return dscptest.Pass
}

func TestModelPanicEndsFlow(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		box, err := dscptest.Start(serve(t, address, echo), panicky)
		require.NoError(t, err)
		defer box.Close()
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "hello"))
		require.NoError(t, mark(c, dscp.EF))
		err = ask(c, "hello")
		assert.True(t, broken(c, err), "%v", err)
		f := eventually(t, box, over)
		require.ErrorContains(t, f.Err, "model panicky panicked: no voice here")
	})
}

// refuseEF resets a flow whose SYN is marked EF.
func refuseEF(s dscptest.Segment) dscptest.Verdict {
	if s.Handshake && s.DSCP == dscp.EF {
		return dscptest.Reset
	}
	return dscptest.Pass
}

// TestResetOfSYNSparesServer resets a connection for the mark of its SYN. The box does not
// connect to the server.
func TestResetOfSYNSparesServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, func(net.Conn) {
			t.Error("the server was reached")
		}), refuseEF)
		d := net.Dialer{Timeout: patience, Control: dscp.Control(dscp.EF)}
		c, err := d.Dial("tcp", box.Addr())
		if err == nil { // the reset may be faster than Dial
			defer c.Close()
			_, err = io.Copy(io.Discard, c)
		}
		require.ErrorIs(t, err, errReset)
		f := eventually(t, box, over)
		assert.Equal(t, dscptest.Reset, f.Verdict)
		assert.Equal(t, "refuseEF: the client began with EF", f.Reason)
	})
}

// TestSegmentSizeBoundsVerdicts has a model act at an offset within a bulk transfer. It
// acts at most SegmentSize bytes after that.
func TestSegmentSizeBoundsVerdicts(t *testing.T) {
	const at, size = 64 << 10, 1000
	eachFamily(t, func(t *testing.T, address string) {
		var mu sync.Mutex
		var asked []dscptest.Segment
		model := func(s dscptest.Segment) dscptest.Verdict {
			if s.Direction == dscptest.ServerToClient || s.Handshake {
				return dscptest.Pass
			}
			mu.Lock()
			asked = append(asked, s)
			mu.Unlock()
			return policeEF(s)
		}
		var got atomic.Int64
		done := make(chan struct{})
		box := dscptest.Config{
			Upstream: serve(t, address, func(c net.Conn) {
				defer close(done)
				for b := make([]byte, 1000); ; {
					n, err := c.Read(b)
					got.Add(int64(n))
					if err != nil {
						return
					}
				}
			}),
			Models: []dscptest.Model{model}, SegmentSize: size,
		}.NewMiddlebox(t)
		c := dialMarked(t, box.Addr(), dscp.EF)
		go c.Write(make([]byte, 4*at)) // at once: reads would be large
		f := eventually(t, box, judged)
		assert.Equal(t, dscptest.Drop, f.Verdict)
		require.Eventually(t, func() bool { return got.Load() >= at }, patience, time.Millisecond)
		require.NoError(t, box.Close())
		<-done
		assert.Less(t, got.Load(), int64(at+size), "what arrived before the model acted")
		var offset int64
		for _, s := range asked {
			require.Equal(t, offset, s.Offset)
			require.True(t, s.Length > 0 && s.Length <= size, "%d", s.Length)
			offset += s.Length
		}
	})
}
