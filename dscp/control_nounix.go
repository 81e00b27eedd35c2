//go:build !unix

package dscp

// pinControl has nothing to do: none of these platforms can mark.
func (p *pin) pinControl(oob []byte) ([]byte, error) { return oob, nil }

// receivedOctet finds nothing: none of these platforms was asked to report.
func receivedOctet([]byte) (octet uint8, ok bool) { return 0, false }
