package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// maxIncludes is how deep Include may nest, as in OpenSSH.
const maxIncludes = 16

// readConfig returns the settings of a configuration file for a host, in their
// order, with those of the files that it includes in their place.
func readConfig(file, host string, depth int) ([]setting, error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("%s: too many levels of Include", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	// It reads what is included too, but tells no file names.
	config, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%s, or a file that it includes: %w", file, err)
	}
	var all []setting
	for _, block := range config.Hosts {
		if !block.Matches(host) {
			continue
		}
		for _, node := range block.Nodes {
			more, err := settingsOf(node, file, host, depth)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

// settingsOf returns what one line of a file sets.
func settingsOf(node ssh_config.Node, file, host string, depth int) ([]setting, error) {
	from := fmt.Sprintf("%s line %d", file, node.Pos().Line)
	switch n := node.(type) {
	case *ssh_config.KV:
		words, err := splitWords(valueOf(n.String(), n.Key, n.Comment))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return []setting{{strings.ToLower(n.Key), words, from}}, nil
	case *ssh_config.Include:
		patterns, err := splitWords(valueOf(n.String(), "Include", n.Comment))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		var all []setting
		for _, pattern := range patterns {
			more, err := include(pattern, host, depth)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", from, err)
			}
			all = append(all, more...)
		}
		return all, nil
	}
	return nil, nil
}

// valueOf returns what stands after the key in a line, without the comment.
func valueOf(line, key, comment string) string {
	if comment != "" {
		line = strings.TrimSuffix(line, "#"+comment)
	}
	// The key may be of white space that is none to the package, a form feed for one.
	line = strings.TrimLeft(line, " \t")
	value := strings.TrimSpace(line[min(len(key), len(line)):])
	return strings.TrimSpace(strings.TrimPrefix(value, "="))
}

// include reads the files that an Include means. A name that is not absolute is
// relative to ~/.ssh; files that do not exist are no error.
func include(pattern, host string, depth int) ([]setting, error) {
	pattern = expandHome(pattern)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(sshDir(), pattern)
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	var all []setting
	for _, file := range files {
		more, err := readConfig(file, host, depth+1)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}
