package main

const udpConn = "dscp/udpconn.go"

var udpConnRules = part("UDPConn",
	mutation{
		rule: "WriteMsgUDP pins its control messages", how: "it sends them as they are",
		file: udpConn, old: "return c.UDPConn.WriteMsgUDP(b, pinned, addr)", new: "return c.UDPConn.WriteMsgUDP(b, append(pinned[:0:0], oob...), addr)", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "WriteMsgUDPAddrPort pins its control messages", how: "it sends them as they are",
		file: udpConn, old: "return c.UDPConn.WriteMsgUDPAddrPort(b, pinned, addr)", new: "return c.UDPConn.WriteMsgUDPAddrPort(b, append(pinned[:0:0], oob...), addr)", test: "TestUDPControlMessages",
	},
	mutation{
		rule: "UDPConn.SyscallConn is guarded", how: "it is net's own",
		file: udpConn, old: "return c.pin.guarded()", new: "return c.UDPConn.SyscallConn()", test: "TestUDPGuard",
	},
	mutation{
		rule: "UDPConn.SetDSCP refuses another mark", how: "it returns nil and does nothing",
		file: udpConn, old: "return c.pin.setDSCP(cp)", new: "return nil", test: "TestUDPGuard",
	},
	mutation{
		rule: "UDPConn.Verify asks the kernel", how: "it returns nil",
		file: udpConn, old: "return c.pin.verify()", new: "return nil", test: "TestUDPGuard",
	},
	mutation{
		rule: "a UDP socket that cannot be pinned is closed", how: "it stays open",
		file: udpConn, old: "if err != nil {\n\t\tc.Close()\n\t}\n", new: "", test: "TestUnpinnableConnIsClosed",
	},
	mutation{
		rule: "PinUDP(nil) is an error", how: "a panic",
		file: udpConn, old: "if c == nil {", new: "if false {", test: "TestInvalidInputIsAnErrorEverywhere",
	},
	mutation{
		rule: "WriteBatch pins its control messages", how: "it sends them as they are",
		file: udpConn, old: "WriteBatch(pinned, flags)", new: "WriteBatch(ms, flags)", test: "TestWriteBatch",
	},
	mutation{
		rule: "if one message is refused none is sent", how: "those before it are",
		file: udpConn, old: "pinned, err := c.pin.pinMessages(ms)\n", new: "pinned, err := c.pin.pinMessages(ms)\n\t_, _ = ipv4.NewPacketConn(c.UDPConn).WriteBatch(ms[:1], flags)\n", test: "TestWriteBatch",
	},
	mutation{
		rule: "the error says which message it was", how: "it does not",
		file: udpConn, old: `fmt.Errorf("message %d: %w", i, err)`, new: `fmt.Errorf("%w", err)`, test: "TestWriteBatch",
	},
	mutation{
		rule: "the caller's messages keep their OOB", how: "they get the pinned one",
		file: udpConn, old: "ms, own = slices.Clone(ms), true", new: "ms, own = slices.Clip(ms), true", test: "TestWriteBatch",
	},
	mutation{
		rule: "N of what was written is set", how: "it is not",
		file: udpConn, old: "ms[i].N, ms[i].NN = pinned[i].N, pinned[i].NN", new: "_ = pinned[i]", test: "TestWriteBatch",
	},
	mutation{
		rule: "WriteBatch returns how many were written", how: "it returns the number of all",
		file: udpConn, old: "return n, err\n}\n\n// pinMessages", new: "return len(ms), err\n}\n\n// pinMessages", test: "TestWriteBatchEdges",
	},
	mutation{
		rule: "ReceiveMarks switches on both families' marks", how: "for the first alone",
		file: udpConn, old: "for _, opt := range opts {", new: "for _, opt := range opts[:1] {", test: "TestReceiveMarks",
	},
	mutation{
		rule: "ReceivedMark returns the ECN bits", how: "it does not",
		file: udpConn, old: "octet & ecnMask, ok", new: "0, ok", test: "TestReceiveMarks",
	},
)
