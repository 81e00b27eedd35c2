package kernel

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// openKernel returns the kernel interface of a family, as it is where servers do not
// reflect marks.
func openKernel(t *testing.T, v6 bool) *linuxKernel {
	t.Helper()
	k, err := Open(v6)
	require.NoError(t, err)
	t.Cleanup(func() { k.Close() })
	l := k.(*linuxKernel)
	l.reflects, l.reflectsErr = false, nil
	return l
}

// TestSYNACKMarkWithReflection predicts the mark of the SYN where servers reflect it,
// and nothing where it is not known whether they do, unless that makes no difference.
func TestSYNACKMarkWithReflection(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		k := openKernel(t, address[0] == '[')
		l, err := (&net.ListenConfig{Control: dscp.Control(dscp.CS1)}).Listen(context.Background(), "tcp", address)
		require.NoError(t, err)
		defer l.Close()
		for _, tt := range []struct {
			reflects bool
			err      error
			syn      dscp.CodePoint
			want     dscp.CodePoint
			known    bool
		}{
			{false, nil, dscp.EF, dscp.CS1, true},
			{true, nil, dscp.EF, dscp.EF, true},
			{false, errors.New("not to be read"), dscp.EF, 0, false},
			{false, errors.New("not to be read"), dscp.CS1, dscp.CS1, true},
		} {
			k.reflects, k.reflectsErr = tt.reflects, tt.err
			cp, known := k.SYNACKMark(AddrPort(l.Addr()), tt.syn)
			assert.Equal(t, tt.known, known, "%s %+v", address, tt)
			if known {
				assert.Equal(t, tt.want, cp, "%s %+v", address, tt)
			}
		}
		require.NoError(t, l.Close())
		_, known := k.SYNACKMark(AddrPort(l.Addr()), dscp.EF)
		assert.False(t, known, "nobody listens")
	}
}
