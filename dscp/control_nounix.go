//go:build !unix

package dscp

// pinControl has nothing to do: none of these platforms can mark.
func (p *pin) pinControl(oob []byte) ([]byte, error) { return oob, nil }
