// Sshserver is an SSH server whose connections carry one mark from the SYN-ACK
// on:
//
//	sshserver -listen :2222 -ipqos "af21 cs1"
//
// It has shells and commands, with and without a terminal, and the sftp
// subsystem. It runs all of them as the user that it runs as itself, whatever
// login name a client gives; the keys in authorized_keys decide who gets in. It
// forwards nothing.
//
// A server does not know what a connection will be for when it answers the SYN,
// and may not change the mark later. So all connections of one sshserver have one
// class, interactive unless -class says bulk: start a second one, on another
// port, for transfers.
//
// For each connection it logs the peer, the mark of the peer's SYN as it arrived
// (on Linux), and its own mark. SIGTERM and SIGINT end it and the sessions, with
// what runs in them, but not what has made a session of its own, or a process
// group of its own as the background jobs of an interactive shell do. What is
// left of sessions that are over is left alone, as by OpenSSH. A second signal
// ends the server at once, and its sessions may leave more behind.
package main
