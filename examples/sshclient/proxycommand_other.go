//go:build !unix

package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
)

func (c *connector) throughCommand(context.Context) (net.Conn, error) {
	return nil, fmt.Errorf("ProxyCommand is not supported on %s", runtime.GOOS)
}
