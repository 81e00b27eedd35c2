//go:build !unix

package main

import (
	"errors"
	"io"

	"github.com/godscp/godscp/dscp"
)

var errNoFdpass = errors.New("-fdpass: this system cannot pass a connection to another process")

func canFdpass() error { return errNoFdpass }

func takesDescriptor(io.Writer) error { return errNoFdpass }

func passDescriptor(io.Writer, *dscp.Conn) error { return errNoFdpass }
