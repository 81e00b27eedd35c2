package sshconfig

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxIncludes is how deep Include may nest, as in OpenSSH.
const maxIncludes = 16

// A Reader reads configuration for one session with one host. Its methods are
// for one goroutine.
type Reader struct {
	Host    string // as on the command line
	Session string // what Match sessiontype asks for: shell, exec, subsystem or none
	Command string // what Match command asks for; empty for a shell

	// Set gets each line but Host, Match and Include, in their order. active tells
	// whether it counts: OpenSSH checks the others, too.
	Set func(s Setting, active bool) error

	// Note gets what was not evaluated, in words. It may be nil.
	Note func(text string)

	first map[string]Setting // the first active line of each key
	final bool               // the second pass
	again bool               // a Match final asked for it
}

// A File is a configuration file.
type File struct {
	Name     string
	System   bool // of all users: what it includes is relative to /etc/ssh, not ~/.ssh
	Private  bool // must not be written by others
	Optional bool // need not exist
}

// Preset takes a setting of the command line, which counts before those of files.
func (r *Reader) Preset(s Setting) error { return r.set(s, true) }

// Read reads the files, a second time if one of them has a Match final.
func (r *Reader) Read(ctx context.Context, files ...File) error {
	if err := r.pass(ctx, files); err != nil || !r.again {
		return err
	}
	r.final = true
	return r.pass(ctx, files)
}

func (r *Reader) pass(ctx context.Context, files []File) error {
	for _, f := range files {
		err := r.file(ctx, f, true, 0)
		if err != nil && !(f.Optional && errors.Is(err, os.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// file reads one file. Where it is included by a block that does not match, none
// of its lines is active.
func (r *Reader) file(ctx context.Context, f File, reached bool, depth int) error {
	if depth > maxIncludes {
		return fmt.Errorf("%s: too many levels of Include", f.Name)
	}
	if f.Private {
		if err := checkOwner(f.Name); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(f.Name)
	if err != nil {
		return err
	}
	active := reached
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for number := 1; lines.Scan(); number++ {
		s, ok, err := ParseLine(lines.Text(), fmt.Sprintf("%s line %d", f.Name, number))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		switch s.Key {
		case "host":
			active, err = r.host(s, reached)
		case "match":
			active, err = r.match(ctx, s, reached)
		case "include":
			err = r.include(ctx, s, f, active, depth)
		default:
			err = r.set(s, active)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func (r *Reader) set(s Setting, active bool) error {
	if err := r.Set(s, active); err != nil {
		return fmt.Errorf("%s: %w", s.From, err)
	}
	if _, ok := r.first[s.Key]; active && !ok {
		if r.first == nil {
			r.first = make(map[string]Setting)
		}
		r.first[s.Key] = s
	}
	return nil
}

// host reports whether one pattern of a Host line matches, and none behind a !.
func (r *Reader) host(s Setting, reached bool) (bool, error) {
	if len(s.Words) == 0 {
		return false, fmt.Errorf("%s: Host has no value", s.From)
	}
	name, matched := r.Host, false
	if r.final { // as it is called by then
		name = r.target()
	}
	for _, pattern := range s.Words {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if pattern == "" {
			return false, fmt.Errorf("%s: Host has an empty pattern", s.From)
		}
		if MatchPattern(pattern, name) {
			if negated {
				return false, nil
			}
			matched = true
		}
	}
	return matched && reached, nil
}

// target is what Match host and %h mean: HostName, as far as it is known.
func (r *Reader) target() string {
	name, err := ExpandHost(r.value("hostname", r.Host), r.Host)
	if err != nil {
		return r.Host
	}
	return name
}

// value is the first word of the first line of a key.
func (r *Reader) value(key, other string) string {
	if s, ok := r.first[key]; ok && len(s.Words) > 0 {
		return s.Words[0]
	}
	return other
}

// tokens are those that the lines up to now make.
func (r *Reader) tokens() Tokens {
	return Tokens{
		Host: r.target(), Original: r.Host, Port: r.value("port", "22"),
		User: r.value("user", LocalUser()), KeyAlias: r.value("hostkeyalias", r.Host), JumpHosts: r.value("proxyjump", ""),
	}
}

// include reads the files that an Include names. Those that do not exist are no
// error.
func (r *Reader) include(ctx context.Context, s Setting, from File, active bool, depth int) error {
	if len(s.Words) == 0 {
		return fmt.Errorf("%s: Include has no value", s.From)
	}
	for _, pattern := range s.Words {
		if !from.System {
			pattern = ExpandHome(pattern)
		}
		if !filepath.IsAbs(pattern) {
			dir := filepath.Join(Home(), ".ssh")
			if from.System {
				dir = "/etc/ssh"
			}
			pattern = filepath.Join(dir, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("%s: Include %s: %w", s.From, pattern, err)
		}
		for _, file := range files {
			err := r.file(ctx, File{Name: file, System: from.System, Private: true}, active, depth+1)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (r *Reader) note(s Setting, format string, args ...any) {
	if r.Note != nil {
		r.Note(cmp.Or(s.From, "?") + ": " + fmt.Sprintf(format, args...))
	}
}
