// Package integration has no code. Its tests run other people's libraries over
// marked and pinned sockets and read the marks off the wire. It is a module of
// its own, so that those libraries reach nobody's go.sum.
//
// BenchmarkQUIC compares quic-go's throughput with and without pinning:
//
//	GOWORK=off go test -run='^$' -bench=QUIC .
package integration
