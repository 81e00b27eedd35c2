package dscp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/seccomp"
	"github.com/godscp/godscp/internal/tos"
)

// ipv6FlowinfoSend is IPV6_FLOWINFO_SEND, with which a datagram is sent with the Traffic
// Class in its address.
const ipv6FlowinfoSend = 33

// sealProcess installs the filter on all threads.
func sealProcess() error {
	err := installSeal()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) {
		return &UnsupportedError{OS: tos.Host.OS, Option: "seccomp", Err: err}
	}
	if err != nil {
		return fmt.Errorf("dscp: seal: %w", err)
	}
	return nil
}

func installSeal() error {
	secret := newSecret()
	program, err := seccomp.Guard(secret,
		seccomp.Option{Level: unix.IPPROTO_IP, Name: unix.IP_TOS},
		seccomp.Option{Level: unix.IPPROTO_IPV6, Name: unix.IPV6_TCLASS},
		seccomp.Option{Level: unix.IPPROTO_IPV6, Name: ipv6FlowinfoSend})
	if err != nil {
		return err
	}
	trial, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(trial)

	// From here on this package marks sockets with the secret, which the kernel
	// accepts without the filter, too.
	tos.UseSecret(secret)
	if err = markTrial(trial, CS1); err == nil {
		err = program.InstallAll()
	}
	if err != nil {
		tos.UseSecret(0)
		return err
	}
	// The filter cannot be removed, so the secret stays in use after an error.
	if err := markTrial(trial, AF21); err != nil {
		return fmt.Errorf("the filter refuses the marks of this package: %w", err)
	}
	if err := unix.SetsockoptInt(trial, unix.IPPROTO_IP, unix.IP_TOS, 0); err != unix.EPERM {
		return fmt.Errorf("the filter has no effect: %w", errors.ErrUnsupported)
	}
	return nil
}

// newSecret returns a random number that is not zero.
func newSecret() uint64 {
	var b [8]byte
	for binary.NativeEndian.Uint64(b[:]) == 0 { // zero means no secret
		rand.Read(b[:])
	}
	return binary.NativeEndian.Uint64(b[:])
}

// markTrial marks a socket like the sockets of Dialer and reads the mark back.
func markTrial(fd int, cp CodePoint) error {
	return setMark(tos.IPv4TOS, cp, tos.FD(fd), true, true)
}
