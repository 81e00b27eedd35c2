// Sshserver is an SSH server whose connections each keep one mark, from the SYN-ACK
// on:
//
//	sshserver -listen :2222 -ipqos "af21 cs1"
//
// It supports shells and commands, with and without a terminal, and the sftp
// subsystem. It runs them as its own user and ignores the login name. The keys in
// authorized_keys can log in. It does not forward ports.
//
// When a server answers the SYN, it does not know the use of the connection, and it
// must not change the mark later. But a client can show the use by the mark of its
// SYN: on Linux, if the SYN has one of the marks of -reflect, sshserver answers with
// that mark for the whole connection. These are the marks of -ipqos by default.
// Every other client gets the mark of -class, interactive by default. On other
// systems all clients get it: start a second sshserver, on another port, for
// transfers.
//
// Examples/sshclient and examples/proxycommand mark their SYN by the use of the
// connection. So does OpenSSH since 9.2 if IPQoS is one mark: IPQoS=af21 for a
// terminal, IPQoS=cs1 for scp, sftp and rsync. With the pair "af21 cs1" it marks
// every SYN with af21 and, for sessions without a terminal, changes to cs1 after
// login; sshserver answers such a session with af21. OpenSSH 8.4 does not mark its
// SYN and gets the mark of -class.
//
// For each connection sshserver logs the peer, the mark of the peer's SYN as it
// arrived (on Linux), and its own mark. SIGTERM and SIGINT end the server and its
// sessions with their processes, except processes that have started a new session
// or a new process group, as an interactive shell does for background jobs. Like
// OpenSSH, it does not end processes that remain from earlier sessions. A second
// signal ends the server at once; then more processes of its sessions may remain.
package main
