// Pinexec runs a program whose Internet sockets, and those of everything it
// starts, carry one DSCP from the first packet on, and keep it:
//
//	pinexec AF21 ssh host
//
// The program need not know: it may be linked statically or written in any
// language. It takes pinexec's place, with the same process number, terminal,
// descriptors and exit status. No privileges are needed. Linux 5.19 or newer, on
// amd64 or arm64.
//
// What it does not do:
//
//   - It does not see the control messages of UDP: a program that sends a mark or
//     an ECN field with each datagram, as QUIC does, is not held.
//   - Sockets in another network namespace than pinexec's, sockets that another
//     program made and passed on, and raw and ping sockets stay as they are. None
//     of them can be re-marked from within.
//   - Programs that gain privileges, such as sudo and su, do not gain them.
//   - Programs inside can have no io_uring and no Multipath TCP; most do without.
//
// A supervisor in a session of its own makes the sockets. It ends after the last
// program that it serves. If it is killed, Internet sockets can no longer be made,
// and socket(2) fails with ENOSYS. If root runs pinexec and the program becomes
// another user, its sockets belong to root all the same. Each socket(2) takes 10 to
// 30 µs more. A signal without SA_RESTART may interrupt it with EINTR. Signals
// that the caller ignores or blocks are ignored or blocked in the program, except
// for those for which Go has a handler in any case, SIGPIPE, SIGQUIT and SIGTERM
// among them: the program starts with their default. A program that wants to
// supervise others in the same way, as some container managers do, cannot (EBUSY).
//
// With DF there is no supervisor: the program and what it starts stay unmarked.
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

// Some of what the caller has set belongs to the first thread, such as the signal
// at its death. So that thread executes the program.
func init() { runtime.LockOSThread() }

func main() {
	pinexec.Init()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns only if the program does not run.
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
