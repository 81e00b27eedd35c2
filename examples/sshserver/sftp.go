//go:build unix

package main

import (
	"errors"
	"io"

	"github.com/pkg/sftp"
)

// sftp runs the sftp subsystem.
func (s *session) sftp() exit {
	server, err := sftp.NewServer(staysOpen{s.channel}, sftp.WithServerWorkingDirectory(s.account.home))
	if err != nil {
		return failed(s.channel, err)
	}
	defer server.Close()
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		s.log.Info("sftp", "err", err)
		return exit{status: 1}
	}
	return exit{}
}

// staysOpen keeps the sftp server from closing the channel: session must send the
// exit status first, which scp needs.
type staysOpen struct{ io.ReadWriter }

func (staysOpen) Close() error { return nil }
