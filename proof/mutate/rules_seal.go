package main

const (
	seal           = "dscp/seal.go"
	sealLinux      = "dscp/seal_linux.go"
	seccompGuard   = "internal/seccomp/guard_linux.go"
	seccompInstall = "internal/seccomp/install_linux.go"
)

var sealRules = part("Seal",
	mutation{
		rule: "Seal may be called again", how: "it puts up another filter",
		file: seal, old: "if sealed.done.Load() {", new: "if sealed.done.Load() && false {", test: "TestSeal",
	},
	mutation{
		rule: "the package knows that the process is sealed", how: "it does not",
		file: seal, old: "sealed.done.Store(true)\n", new: "", test: "TestSeal",
	},
	mutation{
		rule: "IPV6_TCLASS is sealed", how: "it is not",
		file: sealLinux, old: "seccomp.Option{Level: unix.IPPROTO_IPV6, Name: unix.IPV6_TCLASS},\n", new: "", test: "TestSeal",
	},
	mutation{
		rule: "IPV6_FLOWINFO_SEND is sealed", how: "it is not",
		file: sealLinux, old: "Name: ipv6FlowinfoSend}", new: "Name: ipv6FlowinfoSend + 1000}", test: "TestSeal",
	},
	mutation{
		rule: "the package's own setsockopt carries the secret", how: "it carries none",
		file: secretLinux, old: "uintptr(s.secret))", new: "0)", test: "TestSeal", in: "dscp",
	},
	mutation{
		rule: "and the length", how: "that of an int",
		file: secretLinux, old: "secretLength, uintptr(s.secret))", new: "4, uintptr(s.secret))", test: "TestSeal", in: "dscp",
	},
	mutation{
		rule: "and the octet", how: "always 0",
		file: secretLinux, old: "int32(s.octet)}", new: "0 & int32(s.octet)}", test: "TestSeal", in: "dscp",
	},
	mutation{
		rule: "an error of such a call reaches the caller", how: "it is lost",
		file: secretLinux, old: "if errno != 0 {", new: "if errno != 0 && false {", test: "TestSeal", in: "dscp",
	},
	mutation{
		rule: "x/net's setting of a mark is ErrMidFlow in a sealed process", how: "the kernel's error",
		file: guard, old: "if from == secretSet || method == callerMark {", new: "if from == secretSet {", test: "TestSeal",
	},
	mutation{
		rule: "the package's own setter does not get through a guarded conn", how: "it does",
		file: guard, old: "if from == secretSet || method == callerMark {", new: "if method == callerMark {", test: "TestSeal",
	},
	mutation{
		rule: "the package knows its own setter", how: "it does not",
		file: xnet, old: "internal/tos.(*secretSetter).", new: "internal/tos.(*secretKeeper).", test: "TestSeal",
	},
	mutation{
		rule: "the hooks do not mark a TCP socket that is connected", how: "they do",
		file: mark, old: "if isSealed() && isTCP(network) && tos.Connected(c) {", new: "if isSealed() && isTCP(network) && tos.Connected(c) && false {", test: "TestSeal",
	},
	mutation{
		rule: "after Seal, a guarded Control makes no additional system calls", how: "it still compares the marks",
		file: guard, old: "case isSealed():", new: "case isSealed() && false:", test: "TestSealedGuardMakesNoSystemCalls",
	},
	mutation{
		rule: "after Seal, a guarded Read makes no additional system calls", how: "it still compares the marks",
		file: guard, old: "if isSealed() || originOf(f) == xnetIO {\n\t\treturn g.raw.Read(f)", new: "if originOf(f) == xnetIO {\n\t\treturn g.raw.Read(f)", test: "TestSealedGuardMakesNoSystemCalls",
	},
	mutation{
		rule: "after Seal, a guarded Write makes no additional system calls", how: "it still compares the marks",
		file: guard, old: "if isSealed() || originOf(f) == xnetIO {\n\t\treturn g.raw.Write(f)", new: "if originOf(f) == xnetIO {\n\t\treturn g.raw.Write(f)", test: "TestSealedGuardMakesNoSystemCalls",
	},
	mutation{
		rule: "the filter compares the lower half of the cookie", how: "it does not",
		file: seccompGuard, old: "Arg(cookieArg).Is(uint32(cookie)), ", new: "", test: "TestGuard",
	},
	mutation{
		rule: "the filter compares the upper half of the cookie", how: "it does not",
		file: seccompGuard, old: ", ArgHigh(cookieArg).Is(uint32(cookie>>32)))", new: ")", test: "TestGuard",
	},
	mutation{
		rule: "the filter compares the length", how: "it does not",
		file: seccompGuard, old: "Arg(4).Is(SecretLength), ", new: "", test: "TestGuard",
	},
	mutation{
		rule: "a refused call fails with EPERM", how: "it passes",
		file: seccompGuard, old: "p.Return(Errno(unix.EPERM))", new: "p.Return(Allow)", test: "TestGuard",
	},
	mutation{
		rule: "an option of another level passes", how: "it is refused",
		file: seccompGuard, old: "Arg(1).Is(uint32(o.Level)), ", new: "", test: "TestSeal", in: "dscp",
	},
	mutation{
		rule: "io_uring is refused", how: "it passes",
		file: seccompGuard, old: "p.RefuseURing()\n", new: "", test: "TestGuard",
	},
	mutation{
		rule: "programs of 32 bits cannot mark", how: "they can",
		file: seccompGuard, old: "p.When(func() { p.guard(options, i == 0, cookie) }", new: "p.When(func() {\n\t\t\t\tif i != 0 {\n\t\t\t\t\tp.Return(Allow)\n\t\t\t\t\treturn\n\t\t\t\t}\n\t\t\t\tp.guard(options, true, cookie)\n\t\t\t}", test: "TestGuardOtherABI",
	},
	mutation{
		rule: "the filter is on all threads", how: "on one",
		file: seccompInstall, old: "FLAG_SPEC_ALLOW | unix.SECCOMP_FILTER_FLAG_TSYNC)", new: "FLAG_SPEC_ALLOW)", test: "TestInstallAll",
	},
	mutation{
		rule: "a thread that already has another filter is an error", how: "it goes unnoticed",
		file: seccompInstall, old: "if err == nil && tid != 0 {", new: "if err == nil && tid < 0 {", test: "TestInstallAllBesideAnotherFilter",
	},
)
