package main

const (
	udpConn     = "dscp/udpconn.go"
	control     = "dscp/control.go"
	controlUnix = "dscp/control_unix.go"
	batch       = "dscp/batch.go"
	received    = "dscp/received.go"
)

var messageRules = part("UDPConn and control messages",
	mutation{
		rule: "WriteMsgUDP pins its control messages", how: "it sends them as they are",
		file: udpConn, old: "return c.UDPConn.WriteMsgUDP(b, pinned, addr)", new: "return c.UDPConn.WriteMsgUDP(b, append(pinned[:0:0], oob...), addr)", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "WriteMsgUDPAddrPort pins its control messages", how: "it sends them as they are",
		file: udpConn, old: "return c.UDPConn.WriteMsgUDPAddrPort(b, pinned, addr)", new: "return c.UDPConn.WriteMsgUDPAddrPort(b, append(pinned[:0:0], oob...), addr)", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "DSCP 0 in a control message becomes the pinned mark", how: "it stays 0",
		file: controlUnix, old: "octet&ecnMask|pinned.TOS()", new: "octet&ecnMask", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "its ECN bits are kept", how: "they are cleared",
		file: controlUnix, old: "octet&ecnMask|pinned.TOS()", new: "pinned.TOS()", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "the same DSCP passes", how: "it is refused",
		file: controlUnix, old: "case !ok, cp == pinned:", new: "case !ok:", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "any other is ErrMidFlow and nothing is sent", how: "it is replaced",
		file: controlUnix, old: "case cp != DF:", new: "case cp > maxCodePoint:", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "every control message counts", how: "the first alone",
		file: controlUnix, old: "at = next", new: "at = next + len(oob)", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "the caller's buffer is not written to", how: "it is",
		file: controlUnix, old: "oob, own = slices.Clone(oob), true", new: "oob, own = slices.Clip(oob), true", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "IPv4's control messages count", how: "they pass unseen",
		file: controlUnix, old: "case level == unix.IPPROTO_IP &&", new: "case level == -1 &&", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "IPv6's control messages count", how: "they pass unseen",
		file: controlUnix, old: "case level == unix.IPPROTO_IPV6 &&", new: "case level == -1 &&", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "a malformed control message is an error", how: "it is passed on as it is",
		file: controlUnix, old: "if err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t\tnext", new: "if err != nil {\n\t\t\treturn oob, nil\n\t\t}\n\t\tnext", test: "TestUDPMalformedControlMessage",
	},
	mutation{
		rule: "-1, which Linux sends as 0xff, is another mark", how: "it is left to the kernel",
		file: control, old: "v <= 0xff || v == 0xffffffff", new: "v <= 0xff", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "the octet is a byte or an int", how: "a byte alone",
		file: control, old: "return data[0], true", new: "return 0, false", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "on a dual-stack socket each family has its mark", how: "the other's",
		file: controlUnix, old: "pinned := p.pinned(opt)", new: "pinned := p.cp", test: "TestUDPDualStackHoldsBothMarks",
	},
	mutation{
		rule: "UDPConn.SyscallConn is guarded", how: "it is net's own",
		file: udpConn, old: "return c.pin.guarded()", new: "return c.UDPConn.SyscallConn()", test: "TestUDPGuard",
	},
	mutation{
		rule: "UDPConn.SetDSCP refuses", how: "it agrees and does nothing",
		file: udpConn, old: "return c.pin.setDSCP(cp)", new: "return nil", test: "TestUDPGuard",
	},
	mutation{
		rule: "UDPConn.PeerDSCP answers false", how: "true",
		file: udpConn, old: "return DF, false", new: "return DF, true", test: "TestUDPGuard",
	},
	mutation{
		rule: "UDPConn.Verify asks the kernel", how: "it is content",
		file: udpConn, old: "return c.pin.verify()", new: "return nil", test: "TestUDPGuard",
	},
	mutation{
		rule: "a UDP socket that cannot be pinned is closed", how: "it stays open",
		file: udpConn, old: "c.Close()\n\t\treturn nil, err", new: "return nil, err", test: "TestWhatCannotBePinnedIsClosed",
	},
	mutation{
		rule: "WriteBatch pins its control messages", how: "it sends them as they are",
		file: batch, old: "WriteBatch(pinned, flags)", new: "WriteBatch(ms, flags)", test: "TestWriteBatch",
	},
	mutation{
		rule: "if one message is refused none is sent", how: "those before it are",
		file: batch, old: "pinned, err := c.pin.pinMessages(ms)\n", new: "pinned, err := c.pin.pinMessages(ms)\n\t_, _ = ipv4.NewPacketConn(c.UDPConn).WriteBatch(ms[:1], flags)\n", test: "TestWriteBatch",
	},
	mutation{
		rule: "the error says which message it was", how: "it does not",
		file: batch, old: `fmt.Errorf("message %d: %w", i, err)`, new: `fmt.Errorf("%w", err)`, test: "TestWriteBatch",
	},
	mutation{
		rule: "the caller's messages keep their OOB", how: "they get the pinned one",
		file: batch, old: "ms, own = slices.Clone(ms), true", new: "ms, own = slices.Clip(ms), true", test: "TestWriteBatch",
	},
	mutation{
		rule: "N of what was written is set", how: "it is not",
		file: batch, old: "ms[i].N, ms[i].NN = pinned[i].N, pinned[i].NN", new: "_ = pinned[i]", test: "TestWriteBatch",
	},
	mutation{
		rule: "WriteBatch returns how many were written", how: "all, it says",
		file: batch, old: "return n, err\n}\n\n// pinMessages", new: "return len(ms), err\n}\n\n// pinMessages", test: "TestWriteBatchEdges",
	},
	mutation{
		rule: "ReceiveMarks asks for both families' marks", how: "for the first alone",
		file: received, old: "for _, opt := range opts {", new: "for _, opt := range opts[:1] {", test: "TestReceiveMarks",
	},
	mutation{
		rule: "ReceivedMark tells the ECN bits", how: "it does not",
		file: received, old: "octet & ecnMask, ok", new: "0, ok", test: "TestReceiveMarks",
	},
	mutation{
		rule: "ReceivedMark finds the mark among other messages", how: "it looks at the first alone",
		file: controlUnix, old: "oob = rest\n", new: "oob = rest[:0]\n", test: "TestReceiveMarksInBatches",
	},
)
