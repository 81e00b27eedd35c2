package main

import (
	"context"
	"fmt"
	"io"
	"net"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/inetaf/tcpproxy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/godscp/godscp/dscp/dscptest"
)

// A path is a way to the server.
type path struct{ name, address string }

// The first two paths are the base of the comparisons.
const (
	direct = iota
	plain
)

// openPaths starts all relays in front of upstream, in this process, as a test does. done
// closes those that were started.
func openPaths(ctx context.Context, address, upstream string) (paths []path, done func(), err error) {
	var opened []io.Closer
	done = func() {
		for _, c := range opened {
			c.Close()
		}
	}
	paths = []path{direct: {"no relay", upstream}}
	for _, name := range []string{"plain relay: `io.Copy`, twice", "plain relay again (noise)"} {
		l, err := listenPlain(address)
		if err != nil {
			return nil, done, err
		}
		opened = append(opened, l)
		go serveEach(l, func(c net.Conn) { relay(ctx, c, upstream) })
		paths = append(paths, path{name, l.Addr().String()})
	}
	boxes, err := openBoxes(upstream)
	for _, b := range boxes {
		opened = append(opened, b.box)
		paths = append(paths, path{b.name, b.box.Addr()})
	}
	if err != nil {
		return nil, done, err
	}
	toxic, err := openToxiproxy(address, upstream)
	if err != nil {
		return nil, done, fmt.Errorf("toxiproxy: %w", err)
	}
	opened = append(opened, closer(toxic.Stop))
	paths = append(paths, path{"toxiproxy, no toxics", toxic.Listen})
	proxy, proxied, err := openTCPProxy(address, upstream)
	if err != nil {
		return nil, done, fmt.Errorf("tcpproxy: %w", err)
	}
	opened = append(opened, proxy)
	return append(paths, path{"tcpproxy", proxied}), done, nil
}

// relay copies both directions, and does no more than a relay must. Both copies use splice.
func relay(ctx context.Context, c net.Conn, upstream string) {
	defer c.Close()
	u, err := new(net.Dialer).DialContext(ctx, "tcp", upstream)
	if err != nil {
		return
	}
	defer u.Close()
	there := make(chan struct{})
	go func() {
		defer close(there)
		io.Copy(u, c)
		u.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(c, u)
	c.(*net.TCPConn).CloseWrite()
	<-there
}

type namedBox struct {
	name string
	box  *dscptest.Middlebox
}

// openBoxes starts a middlebox without a model and one whose model passes every flow of the
// benchmark: with the best sensor and, if that is another one, with a sensor that needs no
// privilege.
func openBoxes(upstream string) (boxes []namedBox, err error) {
	vmware := []dscptest.Model{dscptest.VMware}
	for _, b := range []struct {
		name    string
		models  []dscptest.Model
		sensors []dscptest.Sensor
	}{
		{"dscptest, no model", nil, []dscptest.Sensor{""}},
		{"dscptest, `VMware`", vmware, []dscptest.Sensor{""}},
		{"dscptest, `VMware`", vmware, []dscptest.Sensor{dscptest.WireLatest, dscptest.SocketOption}},
	} {
		var box *dscptest.Middlebox
		for _, sensor := range b.sensors {
			box, err = dscptest.Config{Upstream: upstream, Models: b.models, Sensor: sensor}.Start()
			if err == nil {
				break
			}
		}
		if err != nil {
			return boxes, err
		}
		boxes = append(boxes, namedBox{b.name + ", " + box.Sensor().String(), box})
	}
	if best, plain := boxes[1], boxes[2]; best.name == plain.name {
		return boxes[:2], plain.box.Close()
	}
	return boxes, nil
}

func openToxiproxy(address, upstream string) (*toxiproxy.Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "bench", address, upstream)
	return p, p.Start()
}

func openTCPProxy(address, upstream string) (io.Closer, string, error) {
	l, err := listenPlain(address)
	if err != nil {
		return nil, "", err
	}
	p := &tcpproxy.Proxy{ListenFunc: func(string, string) (net.Listener, error) { return l, nil }}
	p.AddRoute(address, tcpproxy.To(upstream))
	return p, l.Addr().String(), p.Start()
}

type closer func()

func (c closer) Close() error {
	c()
	return nil
}
