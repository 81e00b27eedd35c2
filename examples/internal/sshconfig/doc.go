// Package sshconfig reads ssh_config as OpenSSH 9.2 to 10.6 do: the words of a
// line, Host, Match, Include, and the order in which values count. It does not
// interpret the other options; the programs that use it do.
//
// It covers more of the format than other Go libraries, which lack Match or its
// exec, or differ in the rules for quotes and comments. A test compares it with the
// output of "ssh -G" for a corpus of configurations.
package sshconfig
