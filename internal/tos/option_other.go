//go:build !unix

package tos

import "syscall"

// Get reads the octet.
func (o Option) Get(c syscall.RawConn) (uint8, error) {
	x := xnetConns.Get().(*xnetConn)
	x.socket.RawConn = c
	var octet int
	var err error
	if o == IPv4TOS {
		octet, err = x.v4.TOS()
	} else {
		octet, err = x.v6.TrafficClass()
	}
	x.socket.RawConn = nil
	xnetConns.Put(x)
	return uint8(octet), err
}

// V6Only is never asked here: none of these systems can mark.
func V6Only(syscall.RawConn) (bool, error) { return false, nil }

// GetInt fails: none of these systems has an option that is asked for.
func GetInt(syscall.RawConn, int, int) (int, error) { return 0, syscall.EINVAL }

// SetInt fails: none of these systems reports marks.
func SetInt(syscall.RawConn, int, int, int) error { return syscall.EINVAL }

func noSuchOption(error) bool { return false }
