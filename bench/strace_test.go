package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSummary(t *testing.T) {
	got, err := parseSummary(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 48.10    0.014311          10      1345           setsockopt
 20.00    0.002000          10       250       250 connect
 11.01    0.001000          10       100        60 read
  0.50    0.000100          10         7         1 epoll_pwait
  0.50    0.000100          10         7           mmap
  0.00    0.000000           0         2           close
------ ----------- ----------- --------- --------- ----------------
100.00    0.029755           9      1711       311 total
`)
	require.NoError(t, err)
	assert.Equal(t, calls{"setsockopt": 1345, "connect": 250, "read": 40, "close": 2}, got)
	_, err = parseSummary("a b c d e\n")
	assert.ErrorContains(t, err, "strace's summary")
}

func TestCallsString(t *testing.T) {
	bare := calls{"socket": 1, "setsockopt": 5.004, "getsockopt": 1, "fcntl": 0.02}
	marked := calls{"socket": 1, "setsockopt": 5.98, "getsockopt": 3, "close": -1, "read": 0.25}
	assert.Equal(t, "1 getsockopt, 5 setsockopt, 1 socket", bare.String())
	assert.Equal(t, "-1 close, +2 getsockopt, +0.3 read, +1 setsockopt", marked.minus(bare))
	assert.Equal(t, "none", bare.minus(bare))
	assert.Equal(t, "not counted", calls(nil).minus(bare))
}
