package main

import "golang.org/x/sys/windows"

// The system's errors by their meaning for a connection. On Windows sockets do not
// return the values of package syscall, such as ECONNREFUSED, which it invents.
var (
	refusals     = []error{windows.WSAECONNREFUSED}
	unreachables = []error{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEACCES}
	resets       = []error{windows.WSAECONNRESET, windows.WSAECONNABORTED}
)
