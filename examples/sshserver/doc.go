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
// and may not change the mark later. The client knows, and says so with the mark of
// its SYN: on Linux, one whose SYN has one of the marks of -reflect is answered with
// it for the whole session. Those are the marks of -ipqos, unless -reflect names
// others, or "none". Every other client is answered in the class that -class says,
// interactive by default. On other systems that is the class of all: start a second
// sshserver, on another port, for transfers.
//
// The sshclient and the proxycommand beside this mark their SYN for what they do.
// OpenSSH since 9.2 does if it is told one mark: IPQoS=af21 for a terminal, IPQoS=cs1
// for scp, sftp and rsync. Told the pair "af21 cs1" it marks every SYN with af21 and
// changes to cs1 after login where there is no terminal: such a session is answered
// with af21 throughout. OpenSSH 8.4 does not mark its SYN at all, and is answered in
// the class of -class.
//
// For each connection it logs the peer, the mark of the peer's SYN as it arrived
// (on Linux), and its own mark. SIGTERM and SIGINT end it and the sessions, with
// what runs in them, but not what has made a session of its own, or a process
// group of its own as the background jobs of an interactive shell do. What is
// left of sessions that are over is left alone, as by OpenSSH. A second signal
// ends the server at once, and its sessions may leave more behind.
package main
