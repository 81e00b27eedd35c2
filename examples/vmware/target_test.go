package main

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/nobody"
)

func startWeb(t *testing.T, address string) *webServer {
	t.Helper()
	l, err := plainListener(t.Context(), "tcp", address)
	require.NoError(t, err)
	w := serveHTTP(l)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

func TestTargetBare(t *testing.T) {
	needBox(t) // where a box runs, marks can be set
	w := startWeb(t, "127.0.0.1:0")
	status, stdout, stderr := runText(t, "-target", w.Addr())
	assert.Zero(t, status, stderr)
	assert.Contains(t, stdout, "\nThis path does not behave like VMware's NAT: a flow with 0x48 survives")

	rows, status, stderr := runJSON(t, "-4", "-target", w.Addr())
	assert.Zero(t, status)
	assert.Contains(t, stderr, "does not behave like VMware's NAT")
	require.Len(t, rows, 7)
	for _, r := range rows {
		assert.True(t, r.OK, r)
		assert.Empty(t, r.Expected, r)
		assert.Empty(t, r.Box, r)
		assert.Contains(t, r.Program, "HTTP 200", r)
	}
	assert.Equal(t, "works", find(t, rows, "script 2: 0x48 after connect").Outcome)
	refusal := find(t, rows, "dscp.Dialer, later x/net SetTOS(0x20)")
	assert.Equal(t, "refused", refusal.Outcome)
	assert.Equal(t, "AF21", refusal.After)
}

func TestTargetBehindBox(t *testing.T) {
	needBox(t)
	addresses := []string{"127.0.0.1:0"}
	if _, ok := families(t)["IPv6"]; ok {
		addresses = append(addresses, "[::1]:0")
	}
	for _, address := range addresses {
		box, err := dscptest.Config{
			Upstream: startWeb(t, address).Addr(),
			Models:   []dscptest.Model{dscptest.VMware},
			Inside:   dscptest.Client,
		}.Start()
		require.NoError(t, err)
		defer box.Close()
		status, stdout, stderr := runText(t, "-target", box.Addr())
		assert.Zero(t, status, stderr)
		assert.Contains(t, stdout, "\nThis path behaves like VMware's NAT: a flow with 0x48 on the SYN survives")
	}
}

func TestTargetUnreachable(t *testing.T) {
	target := nobody.Listens(t, "127.0.0.1:0")
	status, stdout, stderr := runText(t, "-target", target)
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, target+" does not answer, even without a mark: ")
}

func TestTargetNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
			c.Close()
		}
	}()
	status, stdout, stderr := runText(t, "-target", l.Addr().String())
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "vmware: "+l.Addr().String())
}

func TestJudge(t *testing.T) {
	survives, breaks := row{outcome: works}, row{outcome: broken}
	silent := row{outcome: broken, hung: true}
	assert.Contains(t, judge(survives, breaks), "behaves like VMware's NAT")
	assert.Contains(t, judge(survives, survives), "does not behave like VMware's NAT")
	assert.Contains(t, judge(breaks, breaks), "from the first packet on")
	assert.Contains(t, judge(survives, silent), "by a timeout")
	assert.Contains(t, judge(row{outcome: skipped}, survives), "cannot set the mark")
}
