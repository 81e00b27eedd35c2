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

// A Reader reads configuration for one session with one host. It is not safe for
// concurrent use.
type Reader struct {
	Host    string // as on the command line
	Session string // for Match sessiontype: shell, exec, subsystem or none
	Command string // for Match command; empty for a shell

	// Set gets each line except Host, Match and Include, in order. active reports
	// whether the line is in a block that matches. Set gets the other lines, too,
	// since OpenSSH checks them for errors.
	Set func(s Setting, active bool) error

	// Note gets a message about each line that the Reader does not support. It may
	// be nil.
	Note func(text string)

	first map[string]Setting // the first active line of each key
	final bool               // this is the second pass
	again bool               // a Match final requires a second pass
}

// A File is a configuration file.
type File struct {
	Name     string
	System   bool // for all users: names in its Include lines are relative to /etc/ssh, not ~/.ssh
	Private  bool // an error if other users may write it
	Optional bool // no error if it does not exist
}

// Preset takes a setting of the command line. Call it before Read: the first value
// of a key counts.
func (r *Reader) Preset(s Setting) error { return r.set(s, true) }

// Read reads the files, and reads them again if one of them has a Match final.
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

// file reads one file. If reached is false, a block that does not match includes
// the file, and none of its lines is active.
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

// host reports whether one pattern of a Host line matches, and none that a !
// precedes.
func (r *Reader) host(s Setting, reached bool) (bool, error) {
	if len(s.Words) == 0 {
		return false, fmt.Errorf("%s: Host has no value", s.From)
	}
	name, matched := r.Host, false
	if r.final { // the second pass matches the HostName of the first
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

// target returns the name for Match host and %h: HostName, if a line has set it,
// else Host.
func (r *Reader) target() string {
	name, err := ExpandHost(r.value("hostname", r.Host), r.Host)
	if err != nil {
		return r.Host
	}
	return name
}

// value returns the first word of the first line of a key, or other.
func (r *Reader) value(key, other string) string {
	if s, ok := r.first[key]; ok && len(s.Words) > 0 {
		return s.Words[0]
	}
	return other
}

// tokens returns the values of the tokens after the lines read so far.
func (r *Reader) tokens() Tokens {
	return Tokens{
		Host: r.target(), Original: r.Host, Port: r.value("port", "22"),
		User: r.value("user", LocalUser()), KeyAlias: r.value("hostkeyalias", r.Host), JumpHosts: r.value("proxyjump", ""),
	}
}

// include reads the files of an Include line, and ignores files that do not exist.
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
