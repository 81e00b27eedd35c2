// Package sshtest starts real SSH servers for the tests of the examples, each with
// its own keys and directory, on a free port of loopback, as root or as another
// user. It also builds the example programs, so that tests can run them.
package sshtest
