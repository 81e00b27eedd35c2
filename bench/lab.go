package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
)

func measureLab(b *bench) (string, error) {
	var doc strings.Builder
	for _, family := range families {
		t, err := labTable(b, family.address)
		if err != nil {
			return "", fmt.Errorf("%s: %w", family.name, err)
		}
		fmt.Fprintf(&doc, "### %s\n\n%v\n", family.name, t)
	}
	fmt.Fprintf(&doc, "Throughput of %d MiB in %d rounds; one first byte in each of %s Peers: %s, %s.\n", b.streamed>>20, b.streams(), conditions(b.asks()),
		version("github.com/Shopify/toxiproxy/v2"), version("github.com/inetaf/tcpproxy"))
	return doc.String(), nil
}

func labTable(b *bench, address string) (*table, error) {
	server, err := listenPlain(address)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	go serveEach(server, func(c net.Conn) { move(c, b.streamed) })
	paths, done, err := openPaths(b.ctx, address, server.Addr().String())
	defer done()
	if err != nil {
		return nil, err
	}
	streams, asks := make([]subject, len(paths)), make([]subject, len(paths))
	payload := make([]byte, b.streamed)
	for i, p := range paths {
		streams[i] = subject{p.name, func() (time.Duration, error) { return stream(b.ctx, p.address, payload) }}
		asks[i] = subject{p.name, func() (time.Duration, error) { return firstByte(b.ctx, p.address) }}
	}
	streamed, err := interleave(b.streams(), streams)
	if err != nil {
		return nil, err
	}
	asked, err := interleave(b.asks(), asks)
	if err != nil {
		return nil, err
	}
	t := &table{head: []string{"", "throughput", "time to first byte", "added to the direct way"}}
	for i, p := range paths {
		throughput := fmt.Sprintf("%.1f GB/s", float64(b.streamed)/1e9/estimateOf(streamed[i]).median)
		first := micros(asked[i], 1)
		if i != plain {
			throughput = ratio(streamed[plain], streamed[i]).String()
			first = ratio(asked[i], asked[plain]).String()
		}
		added := "–"
		if i != direct {
			d := difference(asked[i], asked[direct])
			added = fmt.Sprintf("%.0f µs [%.0f, %.0f]", 1e6*d.median, 1e6*d.low, 1e6*d.high)
		}
		t.add(p.name, throughput, first, added)
	}
	return t, nil
}

// labDialer marks every connection, so that the middlebox sees a marked flow on all paths.
var labDialer = net.Dialer{Control: dscp.Control(dscp.AF21)}

// dialLab returns a conn with a deadline.
func dialLab(ctx context.Context, address string) (net.Conn, error) {
	c, err := labDialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// stream times one payload, from the dial until the server has read all of it.
func stream(ctx context.Context, address string, payload []byte) (time.Duration, error) {
	begin := time.Now()
	c, err := dialLab(ctx, address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	receipt := []byte{take}
	for _, b := range [][]byte{receipt, payload} {
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
	}
	_, err = io.ReadFull(c, receipt)
	return time.Since(begin), err
}

// firstByte times a connection from the dial until the first byte of the answer arrives.
func firstByte(ctx context.Context, address string) (time.Duration, error) {
	begin := time.Now()
	c, err := dialLab(ctx, address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	echo := []byte{ping}
	if _, err := c.Write(echo); err != nil {
		return 0, err
	}
	if _, err = io.ReadFull(c, echo); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c) // waits for the end of the flow, by FIN or reset
	return took, nil
}

// serveEach calls f with every conn that l accepts, until l is closed.
func serveEach(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go f(c)
	}
}
