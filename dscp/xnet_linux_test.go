package dscp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// TestWithoutTrialSocketNothingChanges leaves the process no descriptor for a trial
// socket. Then the guard must not run x/net's closure on the flow. The test must not run in
// parallel with tests that make sockets.
func TestWithoutTrialSocketNothingChanges(t *testing.T) {
	client, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	err := ipv4.NewConn(client).SetTOS(int(CS1.TOS()))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, unix.EMFILE)
	require.NoError(t, client.Verify())
}
