package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var (
	//go:embed testdata/net_suite.go
	netSuite string
	//go:embed testdata/suite_test.go
	suiteTest string
)

// An overlay is the argument of the go command's -overlay: files that it reads in
// place of others, or in addition to them.
type overlay struct {
	Replace map[string]string
	dir     string
}

func newOverlay(dir string) *overlay {
	return &overlay{map[string]string{}, dir}
}

// add makes the go command read content at path.
func (o *overlay) add(path, content string) error {
	file := filepath.Join(o.dir, fmt.Sprint(len(o.Replace)))
	o.Replace[path] = file
	return os.WriteFile(file, []byte(content), 0o644)
}

// patchNet makes package net call its variable Suite, and makes its tests and those
// of net/http accept other types than *net.TCPConn.
func (o *overlay) patchNet(src string) error {
	if err := o.add(filepath.Join(src, "net", "godscp_suite.go"), netSuite); err != nil {
		return err
	}
	for file, edits := range edits {
		path := filepath.Join(src, filepath.FromSlash(file))
		before, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after, err := apply(string(before), edits)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := o.add(path, after); err != nil {
			return err
		}
	}
	return nil
}

// hook adds a test file to the package in dir that sets net.Suite. Each package
// counts its conns in a separate file.
func (o *overlay) hook(dir, name, tally string) error {
	text := strings.NewReplacer("package p_test", "package "+name+"_test", `"TALLY"`, fmt.Sprintf("%q", tally)).Replace(suiteTest)
	return o.add(filepath.Join(dir, "godscp_suite_test.go"), text)
}

// write returns the name of the file for -overlay.
func (o *overlay) write() (string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	file := filepath.Join(o.dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o644)
}
