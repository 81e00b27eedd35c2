//go:build !linux

package main

import (
	"syscall"

	"github.com/godscp/godscp/dscp"
)

func receiveMarks(string, string, syscall.RawConn) error { return nil }

func latestClass(syscall.Conn) (cp dscp.CodePoint, ok bool) { return dscp.DF, false }

func handshakeMark(syscall.Conn) (cp dscp.CodePoint, ok bool) { return dscp.DF, false }
