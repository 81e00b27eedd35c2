// Package seccomp assembles system call filters for Linux, installs them, and answers
// the calls that a filter leaves to it. It knows nothing of marks.
//
// A [Program] is written with [Program.When] and [Program.Return]. It is
// installed on the calling thread, on all threads of the process, or on the
// calling thread with a [Listener] to which the kernel sends the calls that end
// in [Notify]. A filter cannot be removed. Threads and processes that start later
// inherit it, also across execve(2).
//
// On other systems the package is empty.
package seccomp
