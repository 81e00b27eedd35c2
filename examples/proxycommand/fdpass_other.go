//go:build !unix

package main

import (
	"errors"
	"io"

	"github.com/godscp/godscp/dscp"
)

var errNoFdpass = errors.New("this system cannot hand a connection to another process, as -fdpass does")

func canFdpass() error { return errNoFdpass }

func takesDescriptor(io.Writer) error { return errNoFdpass }

func passDescriptor(io.Writer, *dscp.Conn) error { return errNoFdpass }
