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

// GetFD is Get for a closure that has the descriptor.
func (o Option) GetFD(fd uintptr) (uint8, error) { return o.Get(FD(fd)) }

// IsIPv6 is never called here: none of these systems can mark.
func IsIPv6(uintptr) (is, ok bool) { return false, false }

// Connected is never called here: none of these systems can mark.
func Connected(syscall.RawConn) bool { return false }

// V6Only is never called here: none of these systems can mark.
func V6Only(syscall.RawConn) (bool, error) { return false, nil }

// GetInt fails: none of these systems has an option that this module reads.
func GetInt(syscall.RawConn, int, int) (int, error) { return 0, syscall.EINVAL }

// SetInt fails: none of these systems reports marks.
func SetInt(syscall.RawConn, int, int, int) error { return syscall.EINVAL }

func noSuchOption(error) bool { return false }
