package integration

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"testing"
)

// certificate returns TLS configurations for a server and for a client that trusts it.
func certificate(tb testing.TB, protocols ...string) (server, client *tls.Config) {
	tb.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS() // has a certificate for 127.0.0.1, ::1 and example.com
	tb.Cleanup(ts.Close)
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	return &tls.Config{Certificates: ts.TLS.Certificates, NextProtos: protocols},
		&tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: protocols}
}
