// Package unix has the part of x/sys/unix that the fixtures use, with the
// numbers of Linux.
package unix

const (
	AF_INET      = 2
	AF_INET6     = 10
	SOCK_STREAM  = 1
	SOCK_DGRAM   = 2
	SOCK_CLOEXEC = 0x80000

	SOL_SOCKET   = 1
	SOL_IP       = 0
	IPPROTO_IP   = 0
	IPPROTO_TCP  = 6
	IPPROTO_IPV6 = 41

	IP_TOS      = 1
	IP_TTL      = 2
	IPV6_TCLASS = 67
	SO_PRIORITY = 12
	TCP_NODELAY = 1
)

type Sockaddr interface{}

type SockaddrInet4 struct {
	Port int
	Addr [4]byte
}

type Cmsghdr struct {
	Len         uint64
	Level, Type int32
}

func Socket(domain, typ, proto int) (int, error)              { return 0, nil }
func Connect(fd int, sa Sockaddr) error                       { return nil }
func Accept4(fd, flags int) (int, Sockaddr, error)            { return 0, nil, nil }
func SetsockoptInt(fd, level, opt, value int) error           { return nil }
func SetsockoptByte(fd, level, opt int, value byte) error     { return nil }
func GetsockoptInt(fd, level, opt int) (value int, err error) { return 0, nil }
