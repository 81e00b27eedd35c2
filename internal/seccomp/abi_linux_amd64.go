package seccomp

import "golang.org/x/sys/unix"

var abis = []ABI{
	{Arch: unix.AUDIT_ARCH_X86_64, Socket: unix.SYS_SOCKET, Setsockopt: unix.SYS_SETSOCKOPT, Limit: 0x40000000},
	{Arch: unix.AUDIT_ARCH_I386, Socket: 359, Setsockopt: 366, Socketcall: 102},
}
