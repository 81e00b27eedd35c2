package dscp

import (
	"errors"
	"fmt"

	"github.com/godscp/godscp/internal/tos"
)

// marks has the octets that the options of one socket hold.
type marks struct {
	octet [2]uint8
	has   [2]bool // whether the socket has the option

	// Linux sets SO_PRIORITY when it changes IP_TOS.
	priority    int
	hasPriority bool
}

// read reads the octets of fd, which is p's socket or one of the same family. It fails
// if an option that marks what the socket sends cannot be read, unless the connection
// has been reset and sends nothing any more.
func (p *pin) read(fd uintptr) (marks, error) {
	var m marks
	for _, opt := range p.options(fd) {
		octet, err := opt.GetFD(fd)
		if err == nil {
			m.octet[opt], m.has[opt] = octet, true
		} else if !p.mayLack(opt, err) {
			return m, fmt.Errorf("dscp: cannot verify the DSCP: %v: %w", opt, err)
		}
	}
	return m, nil
}

// mayLack reports whether read may ignore that opt could not be read because of err.
func (p *pin) mayLack(opt tos.Option, err error) bool {
	return p.meansNoOption(opt, err) || tos.Host.RefusesAfterReset && resetByPeer(err)
}

// readAll is read with SO_PRIORITY, which changes along with IP_TOS.
func (p *pin) readAll(fd uintptr) (marks, error) {
	m, err := p.read(fd)
	if err == nil && m.has[tos.IPv4TOS] {
		m.priority, m.hasPriority = tos.Priority(fd)
	}
	return m, err
}

// other returns the code point that opt holds in m, and whether it differs from that in
// before. It ignores ECN bits.
func (m marks) other(before marks, opt tos.Option) (cp CodePoint, other bool) {
	cp = FromTOS(m.octet[opt])
	return cp, m.has[opt] && before.has[opt] && cp != FromTOS(before.octet[opt])
}

// write sets the options of fd for which changed is true to the octets in m, and
// restores SO_PRIORITY, which changes along with IP_TOS.
func (m marks) write(fd uintptr, changed [2]bool) error {
	var failed error
	for _, opt := range tos.Both {
		if changed[opt] {
			failed = errors.Join(failed, opt.Set(tos.FD(fd), m.octet[opt]))
		}
	}
	if !changed[tos.IPv4TOS] || !m.hasPriority {
		return failed
	}
	if now, ok := tos.Priority(fd); ok && now == m.priority {
		return failed
	}
	if err := tos.SetPriority(fd, m.priority); err != nil {
		failed = errors.Join(failed, fmt.Errorf("SO_PRIORITY: %w", err))
	}
	return failed
}
