package integration

import (
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// servePostgres speaks the server's side of the protocol on c. It answers each query with
// the text of the query.
func servePostgres(c net.Conn) error {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return err
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for {
		if err := b.Flush(); err != nil {
			return err
		}
		m, err := b.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.Terminate:
			return nil
		case *pgproto3.Query:
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("query"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}})
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(m.String)}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	}
}

// TestPostgres gives a Dialer to the dial hook of a database driver.
func TestPostgres(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	l := listen(t)
	w := watching(t, l.Addr())
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = servePostgres(c)
		}
		served <- err
	}()
	config, err := pgx.ParseConfig("postgres://user@" + l.Addr().String() + "/db?sslmode=disable")
	require.NoError(t, err)
	config.DialFunc = (&dscp.Dialer{DSCP: clientMark}).DialContext
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	c, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	conn, ok := dscp.Of(c.PgConn().Conn())
	require.True(t, ok)
	assert.Equal(t, clientMark, conn.DSCP())
	for range 10 {
		var got string
		require.NoError(t, c.QueryRow(t.Context(), "select 'me'").Scan(&got))
		assert.Equal(t, "select 'me'", got)
	}
	require.NoError(t, c.Close(t.Context()))
	require.NoError(t, <-served)
	w.flows(1, clientMark)
}
