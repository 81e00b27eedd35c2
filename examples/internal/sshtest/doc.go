// Package sshtest starts real SSH servers for the tests of the examples: each
// with its own keys and directory, on a free port of loopback, as root or as
// anybody. It also builds the example programs, so that a test can run one
// against another.
package sshtest
