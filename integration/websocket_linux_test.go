package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

func TestWebSocket(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			l := listen(t)
			w := watching(t, l.Addr())
			serverTLS, clientTLS := certificate(t, "http/1.1")
			srv := &http.Server{TLSConfig: serverTLS, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
				if !assert.NoError(t, err) {
					return
				}
				defer c.Close()
				conn, ok := dscp.Of(c.NetConn())
				if assert.True(t, ok) {
					assert.Equal(t, serverMark, conn.DSCP())
				}
				for {
					kind, b, err := c.ReadMessage()
					if err != nil || c.WriteMessage(kind, b) != nil {
						return
					}
				}
			})}
			go func() {
				if scheme == "wss" {
					srv.ServeTLS(l, "", "")
					return
				}
				srv.Serve(l)
			}()
			t.Cleanup(func() { srv.Close() })

			d := websocket.Dialer{NetDialContext: (&dscp.Dialer{DSCP: clientMark}).DialContext, TLSClientConfig: clientTLS}
			c, _, err := d.DialContext(t.Context(), scheme+"://"+l.Addr().String(), nil)
			require.NoError(t, err)
			conn, ok := dscp.Of(c.NetConn())
			require.True(t, ok)
			assert.Equal(t, clientMark, conn.DSCP())
			for _, size := range []int{1, 1000, 300_000} {
				want := strings.Repeat("z", size)
				require.NoError(t, c.WriteMessage(websocket.TextMessage, []byte(want)))
				_, got, err := c.ReadMessage()
				require.NoError(t, err)
				assert.Equal(t, want, string(got))
			}
			require.NoError(t, c.Close())
			w.flows(1, clientMark)
		})
	}
}
