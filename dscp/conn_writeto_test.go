package dscp

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
)

// A remarker is a writer whose ReadFrom tries to change the mark of its source.
type remarker struct {
	bytes.Buffer
	option tos.Option
	err    error
}

func (r *remarker) ReadFrom(src io.Reader) (int64, error) {
	from := src
	if limited, ok := src.(*io.LimitedReader); ok {
		from = limited.R
	}
	if c, ok := from.(syscall.Conn); ok {
		raw, err := c.SyscallConn()
		if err != nil {
			return 0, err
		}
		r.err = r.option.Set(raw, CS1.TOS())
	}
	return r.Buffer.ReadFrom(src)
}

// TestCopyHandsOutNoBareConn copies a conn to a writer with a ReadFrom method, which
// must get a guarded conn.
func TestCopyHandsOutNoBareConn(t *testing.T) {
	t.Parallel()
	guardPairs(t, func(t *testing.T, c *Conn) {
		for name, cp := range map[string]func(w io.Writer) (int64, error){
			"io.Copy":  func(w io.Writer) (int64, error) { return io.Copy(w, c) },
			"io.CopyN": func(w io.Writer) (int64, error) { return io.CopyN(w, c, 1) },
			"WriteTo":  c.WriteTo,
		} {
			w := &remarker{option: c.pin.option}
			require.NoError(t, c.CloseRead()) // the copy ends at once
			_, err := cp(w)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
			}
			require.ErrorIs(t, w.err, ErrMidFlow, name)
			require.NoError(t, c.Verify(), name)
		}
	})
}

// TestWriteToCopies copies a conn to each kind of writer.
func TestWriteToCopies(t *testing.T) {
	t.Parallel()
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	for name, to := range map[string]func(c *Conn) io.Writer{
		"pinned":                 func(c *Conn) io.Writer { return c },
		"bare":                   func(c *Conn) io.Writer { return c.TCPConn },
		"without ReadFrom":       func(c *Conn) io.Writer { return struct{ io.Writer }{c} },
		"with a ReadFrom method": func(c *Conn) io.Writer { return struct{ net.Conn }{c} },
	} {
		from, source := pair(t, &Dialer{}, l)
		out, drain := pair(t, &Dialer{}, l)
		_, err := source.Write([]byte("hello"))
		require.NoError(t, err, name)
		require.NoError(t, source.CloseWrite(), name)
		n, err := io.Copy(to(out), from)
		require.NoError(t, err, name)
		assert.EqualValues(t, 5, n, name)
		require.NoError(t, out.CloseWrite(), name)
		b, err := io.ReadAll(drain)
		require.NoError(t, err, name)
		assert.Equal(t, "hello", string(b), name)
	}
}

// TestWriteToError checks that the error of a copy names the operation and both
// addresses, as net's does.
func TestWriteToError(t *testing.T) {
	t.Parallel()
	c, _ := pair(t, &Dialer{}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	require.NoError(t, c.Close())
	_, want := c.TCPConn.WriteTo(io.Discard)
	_, err := c.WriteTo(io.Discard)
	require.ErrorIs(t, err, net.ErrClosed)
	assert.Equal(t, want.Error(), err.Error())
}
