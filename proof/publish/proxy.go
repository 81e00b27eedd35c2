package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	modpath "golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// A proxy is a module proxy in a directory, which the go command reads by a file URL
// (go help goproxy).
type proxy struct {
	tree string // with the files to publish
	dir  string
}

func (p proxy) url() string { return "file://" + filepath.ToSlash(p.dir) }

// add adds a module to the proxy.
func (p proxy) add(m module) (err error) {
	escaped, err := modpath.EscapePath(m.path)
	if err != nil {
		return err
	}
	dir := filepath.Join(p.dir, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	z, err := os.Create(file(m.version + ".zip"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	if err := modzip.CreateFromDir(z, modpath.Version{Path: m.path, Version: m.version}, filepath.Join(p.tree, filepath.FromSlash(m.dir))); err != nil {
		return err
	}
	mod, err := fromZip(z, path.Join(m.path+"@"+m.version, "go.mod"))
	if err != nil {
		return err
	}
	if err := checkGoMod(mod, m); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.version, time.Now().UTC()})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"list": []byte(m.version + "\n"), m.version + ".mod": mod, m.version + ".info": info} {
		if err := os.WriteFile(file(name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fromZip returns the text of a file in a zip archive.
func fromZip(f *os.File, name string) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, err
	}
	in, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}
