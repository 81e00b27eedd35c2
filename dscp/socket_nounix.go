//go:build !unix

package dscp

import "syscall"

// get reads the octet that o holds.
func (o option) get(raw syscall.RawConn) (uint8, error) {
	v := vias.Get().(*via)
	v.socket.RawConn = raw
	var octet int
	var err error
	if o == ipTOS {
		octet, err = v.v4.TOS()
	} else {
		octet, err = v.v6.TrafficClass()
	}
	v.socket.RawConn = nil
	vias.Put(v)
	return uint8(octet), err
}

// v6only is never asked here: none of these platforms can mark.
func v6only(syscall.RawConn) (bool, error) { return false, nil }

// setInt is never called here: none of these platforms reports marks.
func setInt(syscall.RawConn, int, int, int) error { return syscall.EINVAL }

func noSuchOption(error) bool { return false }
