// Pinexec runs a program and gives one DSCP to its Internet sockets, from the
// first packet to the last. The same holds for all processes that the program
// starts:
//
//	pinexec AF21 ssh host
//
// The program needs no change: it may be linked statically or written in any
// language. It replaces pinexec in the same process, with the same process
// number, terminal, descriptors and exit status. Pinexec needs no privileges. It
// runs on Linux 5.19 or newer, on amd64 and arm64.
//
// Limits:
//
//   - Pinexec does not see the control messages of UDP: a program that sends a
//     mark or an ECN field with each datagram, as QUIC does, can still set its own.
//   - Sockets in another network namespace than pinexec's, sockets that the program
//     receives from other programs, inherited sockets that are already connected,
//     and raw and ping sockets keep the mark they have. The program cannot change
//     that mark either.
//   - sudo, su and other setuid programs do not gain privileges.
//   - The program cannot use io_uring or Multipath TCP. Most programs work without
//     them.
//
// A supervisor process makes the sockets, in a session separate from the
// program's. It exits when the last of the programs has ended. If the supervisor
// is killed, the programs can make no more Internet sockets: socket(2) fails with
// ENOSYS. If root runs pinexec and the program becomes another user, root still
// owns its sockets. Each socket(2) takes 10 to 30 µs longer, and a signal whose
// handler has no SA_RESTART can interrupt it with EINTR. Signals that the caller
// ignores or blocks are ignored or blocked in the program, except for those that
// the Go runtime always handles, such as SIGPIPE, SIGQUIT and SIGTERM: for these
// the program starts with the default action. A program that supervises others
// with seccomp itself, as some container managers do, gets EBUSY.
//
// With DF there is no supervisor: a filter keeps the sockets unmarked.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/godscp/godscp/examples/internal/pinexec"
)

// Some settings of the caller belong to the first thread, such as the signal that
// it gets when its parent dies. So the first thread must execute the program.
func init() { runtime.LockOSThread() }

func main() {
	pinexec.Init()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns only if it could not execute the program.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "pinexec: %v\n%s\n", err, usage)
		return pinexec.Failed
	}
	status, err := pinexec.Exec(o)
	fmt.Fprintln(stderr, "pinexec:", err)
	return status
}
