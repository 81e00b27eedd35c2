// Package integration has only tests. They run other libraries over marked and pinned
// sockets and check the marks on the wire. The package is a separate module, so that those
// libraries are not in the go.sum of the library's users.
//
// BenchmarkQUIC compares quic-go's throughput with and without pinning:
//
//	GOWORK=off go test -run='^$' -bench=QUIC .
package integration
