package main

import (
	"bytes"
	"fmt"
	"os"
)

// marks returns the comments around a section's results in the document. The rest of the
// document is written by hand and not replaced.
func marks(section string) (begin, end string) {
	return "<!-- bench:" + section + " -->", "<!-- /bench:" + section + " -->"
}

// replace puts body between the marks of a section.
func replace(document []byte, section, body string) ([]byte, error) {
	begin, end := marks(section)
	before, rest, ok := bytes.Cut(document, []byte(begin))
	if !ok {
		return nil, fmt.Errorf("the document has no %s", begin)
	}
	_, after, ok := bytes.Cut(rest, []byte(end))
	if !ok {
		return nil, fmt.Errorf("the document has no %s", end)
	}
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, begin, body, end, after), nil
}

// update writes results into the document at path, all or none of them.
func update(path string, results []result) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, r := range results {
		if document, err = replace(document, r.name, r.markdown); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, document, 0o644)
}
