package main

import "golang.org/x/sys/windows"

// What the system's errors say of a connection. Package syscall's names for them
// are inventions on Windows, which no socket returns.
var (
	refusals     = []error{windows.WSAECONNREFUSED}
	unreachables = []error{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEACCES}
	resets       = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED}
)
