package tos

// A ReceiveOption is the socket option that makes a system report the octet of each
// received packet in a control message.
type ReceiveOption struct {
	Name    string // in C
	Number  int    // 0: the system has none
	Message int    // the type of the control message, if it is not Number
}

// receiveOptionsOf returns the numbers of a system, from golang.org/x/sys. AIX,
// DragonFly, NetBSD and OpenBSD have no IP_RECVTOS.
func receiveOptionsOf(goos string) [2]ReceiveOption {
	numbers := func(recvTOS, tos, recvTClass, tClass int) [2]ReceiveOption {
		return [2]ReceiveOption{
			IPv4TOS:    {"IP_RECVTOS", recvTOS, tos},
			IPv6TClass: {"IPV6_RECVTCLASS", recvTClass, tClass},
		}
	}
	switch goos {
	case "linux", "android":
		return numbers(13, 1, 66, 67)
	case "darwin", "ios":
		return numbers(27, 3, 35, 36)
	case "freebsd":
		return numbers(68, 3, 57, 61)
	case "dragonfly", "netbsd", "openbsd":
		return numbers(0, 3, 57, 61)
	case "solaris", "illumos":
		return numbers(12, 3, 25, 38)
	case "aix":
		return numbers(0, 3, 42, 43)
	}
	return numbers(0, 0, 0, 0)
}

// ReceiveOptions returns the options whose control messages report the octets of all
// packets that a socket can receive, for Platform.Receive. The parameters and the
// errors are those of Options.
func (p Platform) ReceiveOptions(network string, peers Peers, v6only func() (bool, error)) ([]Option, error) {
	opts, err := needed(network, peers, v6only)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		switch {
		case p.Receive[o].Number == 0:
			return nil, &MissingError{p.Receive[o].Name, "the system does not report it"}
		case len(opts) == 2 && !p.MappedTOS:
			return nil, &MissingError{
				p.Receive[IPv4TOS].Name, "an IPv6 socket does not report the marks of IPv4 peers; listen on udp4 and udp6 instead",
			}
		}
	}
	return opts, nil
}

// receivedOctet returns the octet in a received control message. For IPv4 the type of
// the message is IP_RECVTOS on the BSDs and macOS, and IP_TOS on Linux.
func (p Platform) receivedOctet(level, typ int, data []byte) (octet uint8, ok bool) {
	for o, r := range p.Receive {
		if r.Number != 0 && level == Option(o).Level() && (typ == r.Number || typ == r.Message) {
			return octetIn(data)
		}
	}
	return 0, false
}
