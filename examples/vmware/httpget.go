package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// A webServer answers every GET with flood.
type webServer struct {
	listener net.Listener
	server   http.Server
	served   chan struct{}
}

func serveHTTP(l net.Listener) *webServer {
	w := &webServer{listener: l, served: make(chan struct{})}
	w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", strconv.Itoa(len(flood)))
		_, _ = rw.Write(flood) // fails if the client closes early
	})
	go func() {
		defer close(w.served)
		_ = w.server.Serve(l)
	}()
	return w
}

func (w *webServer) Addr() string { return w.listener.Addr().String() }

func (w *webServer) Close() error {
	err := w.server.Close()
	<-w.served
	return err
}

// enough is the number of bytes of an answer that getHTTP reads. The page of a -target
// may be gigabytes long.
const enough = 1 << 20

// tooMuch is the number of bytes that getHTTP reads at most: [http.ReadResponse] does
// not limit headers.
const tooMuch = 4 << 20

// getHTTP is the work of the published scripts: a GET over c. If the server keeps the
// connection open, a second GET follows the moment midway.
func getHTTP(c net.Conn, p place, at func(moment) error) (string, error) {
	answers := bufio.NewReader(io.LimitReader(c, tooMuch))
	said, again, err := get(c, answers, p.host)
	if err != nil {
		return "", err
	}
	if err := at(midway); err != nil {
		return "", err
	}
	if again {
		said, _, err = get(c, answers, p.host)
	}
	return said, err
}

// get makes one request. again reports whether the connection can be used again.
func get(c net.Conn, answers *bufio.Reader, host string) (said string, again bool, err error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return "", false, err
	}
	if err := req.Write(c); err != nil {
		return "", false, err
	}
	resp, err := http.ReadResponse(answers, req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	n, err := io.CopyN(io.Discard, resp.Body, enough)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("after %d bytes: %w", n, err)
	}
	return fmt.Sprintf("HTTP %d, %d bytes", resp.StatusCode, n), n < enough && !resp.Close, nil
}
