// Package sshconfig reads ssh_config as OpenSSH does, from 9.2 to 10.6: the
// words of a line, Host, Match, Include, and which of several values counts. The
// programs that use it say what the options mean.
//
// It holds more of the format than the libraries that read it (no Match, or one
// without exec; other rules for quotes and comments), and a test compares it with
// what "ssh -G" says of a corpus of configurations.
package sshconfig
