package dscp

import (
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// reviewed lists the fields and methods of the types of net that this package wraps.
// Each was reviewed for a way to change or lose a mark. Embedding promotes every method
// that a Go release adds, so a new name fails the test until it is reviewed.
var reviewed = map[reflect.Type]string{
	reflect.TypeFor[*net.Dialer](): "Dial DialContext DialIP DialTCP DialUDP DialUnix MultipathTCP SetMultipathTCP " +
		"Cancel Control ControlContext Deadline DualStack FallbackDelay KeepAlive KeepAliveConfig LocalAddr Resolver Timeout",
	reflect.TypeFor[*net.ListenConfig](): "Listen ListenPacket MultipathTCP SetMultipathTCP " +
		"Control KeepAlive KeepAliveConfig",
	reflect.TypeFor[*net.TCPConn](): "Close CloseRead CloseWrite File LocalAddr MultipathTCP Read ReadFrom RemoteAddr " +
		"SetDeadline SetKeepAlive SetKeepAliveConfig SetKeepAlivePeriod SetLinger SetNoDelay SetReadBuffer SetReadDeadline " +
		"SetWriteBuffer SetWriteDeadline SyscallConn Write WriteTo",
	reflect.TypeFor[*net.UDPConn](): "Close File LocalAddr Read ReadFrom ReadFromUDP ReadFromUDPAddrPort ReadMsgUDP " +
		"ReadMsgUDPAddrPort RemoteAddr SetDeadline SetReadBuffer SetReadDeadline SetWriteBuffer SetWriteDeadline SyscallConn " +
		"Write WriteMsgUDP WriteMsgUDPAddrPort WriteTo WriteToUDP WriteToUDPAddrPort",
	reflect.TypeFor[*net.TCPListener](): "Accept AcceptTCP Addr Close File SetDeadline SyscallConn",
}

func TestEmbeddedTypesAreReviewed(t *testing.T) {
	t.Parallel()
	for typ, names := range reviewed {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			var has []string
			for m := range typ.Methods() {
				has = append(has, m.Name)
			}
			for f := range typ.Elem().Fields() {
				if f.IsExported() {
					has = append(has, f.Name)
				}
			}
			want := strings.Fields(names)
			slices.Sort(want)
			slices.Sort(has)
			assert.Equal(t, want, has, "review each new name: can it change or lose a mark?")
		})
	}
}
