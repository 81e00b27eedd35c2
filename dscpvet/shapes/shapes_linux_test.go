package shapes

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// loopbacks are the addresses that every test runs on: one for each branch of a
// program that picks an option by the family.
var loopbacks = []string{"127.0.0.1:0", "[::1]:0"}

// A dialFunc is the type that http.Transport.DialContext has.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// get fetches a page from a server behind a middlebox, and returns the flow.
func get(t *testing.T, address string, dial dialFunc) (dscptest.Flow, error) {
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 1<<18))
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	box := dscptest.NewMiddlebox(t, l.Addr().String(), dscptest.VMware)

	transport := &http.Transport{DialContext: dial}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	err = fetch(client, "http://"+box.Addr())
	transport.CloseIdleConnections()
	return over(t, box), err
}

func fetch(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// over returns the box's only flow once it has ended.
func over(t *testing.T, box *dscptest.Middlebox) dscptest.Flow {
	var flow dscptest.Flow
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		flows := box.Flows()
		if assert.Len(c, flows, 1) {
			flow = flows[0]
			assert.True(c, flow.Over)
		}
	}, 10*time.Second, 5*time.Millisecond)
	return flow
}

// isReset requires what VMware's users see: the connection came up unmarked and
// was reset when its mark changed.
func isReset(t *testing.T, flow dscptest.Flow, err error) {
	require.ErrorIs(t, err, unix.ECONNRESET)
	assert.Equal(t, dscp.DF, flow.SYN)
	assert.NotEmpty(t, flow.Changes)
	assert.Equal(t, dscptest.Reset, flow.Verdict)
}

// isWhole requires one mark, from the SYN on, and a flow that the box passed.
func isWhole(t *testing.T, flow dscptest.Flow, err error, cp dscp.CodePoint) {
	require.NoError(t, err)
	assert.Equal(t, cp, flow.SYN)
	assert.Empty(t, flow.Changes)
	assert.Equal(t, dscptest.Pass, flow.Verdict)
}
