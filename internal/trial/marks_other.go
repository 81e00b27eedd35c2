//go:build !linux

package trial

// MinTTL shows nothing: what needs it runs on Linux alone.
func MinTTL() error { return nil }
