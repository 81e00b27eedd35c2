package seccomp

import "golang.org/x/sys/unix"

var abis = []ABI{
	{Arch: unix.AUDIT_ARCH_AARCH64, Socket: unix.SYS_SOCKET, Setsockopt: unix.SYS_SETSOCKOPT},
	{Arch: unix.AUDIT_ARCH_ARM, Socket: 281, Setsockopt: 294, Socketcall: 102},
}
