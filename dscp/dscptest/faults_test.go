package dscptest_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// panicky panics about one mark, once a flow is up.
func panicky(s dscptest.Segment) dscptest.Verdict {
	if !s.Handshake && s.DSCP == dscp.EF {
		panic("no voice here")
	}
	return dscptest.Pass
}

func TestModelPanics(t *testing.T) {
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

// TestModelPanicsAtOnce has a box refuse a model that panics about a SYN.
func TestModelPanicsAtOnce(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box, err := dscptest.Start(serve(t, address, echo), func(dscptest.Segment) dscptest.Verdict { panic("at once") })
		require.ErrorContains(t, err, "panicked: at once")
		assert.Nil(t, box)
	})
}

// recorder takes the complaints of a box instead of the test.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
	skips    []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }
func (r *recorder) Fatal(args ...any) { r.Error(args...) }
func (r *recorder) Skip(args ...any)  { r.skips = append(r.skips, fmt.Sprint(args...)) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// finish ends the test that r stands for.
func (r *recorder) finish() {
	for _, f := range r.cleanups {
		f()
	}
}

// TestPanicFailsTest has NewMiddlebox complain of a model that panicked.
func TestPanicFailsTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	box := dscptest.NewMiddlebox(r, serve(t, "[::1]:0", echo), panicky)
	if len(r.skips) > 0 {
		t.Skip(r.skips)
	}
	c := dial(t, box.Addr())
	require.NoError(t, mark(c, dscp.EF))
	c.Write([]byte("hello"))
	io.Copy(io.Discard, c)
	eventually(t, box, over)
	r.finish()
	require.Len(t, r.errors, 1)
	assert.Contains(t, r.errors[0], "panicked")
}
