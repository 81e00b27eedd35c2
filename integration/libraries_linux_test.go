package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-sql-driver/mysql"
	"github.com/hashicorp/yamux"
	"github.com/minio/minio-go/v7"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/godscp/godscp/dscp"
)

// TestLibrariesTakeADialer gives a Dialer to each library as docs/libraries.md says. The
// server speaks no protocol: it checks the mark of the SYN and closes the connection.
func TestLibrariesTakeADialer(t *testing.T) {
	for name, connect := range map[string]func(ctx context.Context, d *dscp.Dialer, addr string) error{
		"go-redis": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			c := redis.NewClient(&redis.Options{Addr: addr, Dialer: d.DialContext, MaxRetries: -1})
			defer c.Close()
			return c.Ping(ctx).Err()
		},
		"nats.go": func(_ context.Context, d *dscp.Dialer, addr string) error {
			c, err := nats.Connect("nats://"+addr, nats.SetCustomDialer(d), nats.NoReconnect())
			if err == nil {
				c.Close()
			}
			return err
		},
		"minio-go": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			c, err := minio.New(addr, &minio.Options{Transport: &http.Transport{DialContext: d.DialContext}, MaxRetries: 1})
			if err != nil {
				return err
			}
			_, err = c.ListBuckets(ctx)
			return err
		},
		"franz-go": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.Dialer(d.DialContext), kgo.RequestRetries(0))
			if err != nil {
				return err
			}
			defer c.Close()
			return c.Ping(ctx)
		},
		"go-sql-driver/mysql": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			config := mysql.NewConfig()
			config.Net, config.Addr, config.DialFunc = "tcp", addr, d.DialContext
			connector, err := mysql.NewConnector(config)
			if err != nil {
				return err
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			return db.PingContext(ctx)
		},
		"coder/websocket": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
			_, _, err := websocket.Dial(ctx, "ws://"+addr, &websocket.DialOptions{HTTPClient: client})
			return err
		},
		"yamux": func(ctx context.Context, d *dscp.Dialer, addr string) error {
			conn, err := d.DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			session, err := yamux.Client(conn, nil)
			if err != nil {
				return err
			}
			defer session.Close()
			_, err = session.Ping()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := (&dscp.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			marks := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					marks <- err
					return
				}
				if cp, ok := c.(*dscp.Conn).PeerDSCP(); !ok || cp != clientMark {
					err = fmt.Errorf("SYN marked %v (known: %v)", cp, ok)
				}
				c.Close()
				marks <- err
				refuse(l) // further attempts of the library
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err = connect(ctx, &dscp.Dialer{DSCP: clientMark}, l.Addr().String())
			require.Error(t, err, "the server speaks no protocol")
			select {
			case err := <-marks:
				assert.NoError(t, err)
			case <-ctx.Done():
				t.Fatal("the library did not connect")
			}
		})
	}
}

// refuse closes every conn that l accepts, until l is closed.
func refuse(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}
