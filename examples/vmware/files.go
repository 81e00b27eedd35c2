package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/dscp/dscptest/trace"
)

// writeFiles writes the flow of each row as a drawing into the directory svg, and as a
// capture into the directory pcap. If a name is empty, it writes none of these.
func writeFiles(svg, pcap string, rows []row) error {
	for _, format := range []struct {
		dir, ext string
		write    func(io.Writer, dscptest.Flow) error
	}{
		{svg, "svg", trace.WriteSVG},
		{pcap, "pcapng", func(w io.Writer, f dscptest.Flow) error { return trace.WritePcapNG(w, f) }},
	} {
		if format.dir == "" {
			continue
		}
		if err := os.MkdirAll(format.dir, 0o777); err != nil {
			return err
		}
		for i, r := range rows {
			if r.flow == nil {
				continue
			}
			name := filepath.Join(format.dir, fmt.Sprintf("%02d-%s.%s", i+1, fileName(r.strategy), format.ext))
			if err := writeFile(name, *r.flow, format.write); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(name string, f dscptest.Flow, write func(io.Writer, dscptest.Flow) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file, f), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// fileName returns the file name for a strategy's name: lower-case letters and digits,
// with a hyphen for each run of other characters.
func fileName(strategy string) string {
	words := strings.FieldsFunc(strings.ToLower(strategy), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
