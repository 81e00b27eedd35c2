package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

const apidiff = "golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4"

// compareAPI compares the exported API of the last commit with that of the newest
// tagged version before it. A patch version must not break anything; from v1 on,
// only a new major version may.
func (m module) compareAPI(ctx context.Context, root, tmp string) (summary string, err error) {
	tags, err := output(ctx, root, nil, "git", "tag", "--list", m.tag("v*"), "--merged", "HEAD")
	if err != nil {
		return "", err
	}
	last := m.lastBefore(strings.Fields(tags))
	if last == "" {
		return "no earlier version is tagged", nil
	}
	dir, err := os.MkdirTemp(tmp, "api")
	if err != nil {
		return "", err
	}
	var files []string
	for _, revision := range []string{m.tag(last), "HEAD"} {
		file := filepath.Join(dir, fmt.Sprint(len(files), ".api"))
		if err := m.exportAPI(ctx, root, revision, file); err != nil {
			return "", err
		}
		files = append(files, file)
	}
	broken, err := output(ctx, root, nil, "go", "run", apidiff, "-m", "-incompatible", files[0], files[1])
	if err != nil {
		return "", err
	}
	all, err := output(ctx, root, nil, "go", "run", apidiff, "-m", files[0], files[1])
	if err != nil {
		return "", err
	}
	if broken != "" && !mayBreak(last, m.version) {
		return "", fmt.Errorf("%s would break users of %s:\n%s", m.version, last, broken)
	}
	if all == "" {
		return "the same as that of " + last, nil
	}
	return "since " + last + ":\n" + all, nil
}

// lastBefore returns the newest version among the tags that is older than the
// module's.
func (m module) lastBefore(tags []string) string {
	last := ""
	for _, tag := range tags {
		version := strings.TrimPrefix(tag, m.tag(""))
		if semver.IsValid(version) && semver.Compare(version, m.version) < 0 && semver.Compare(version, last) > 0 {
			last = version
		}
	}
	return last
}

// mayBreak reports whether a version may be incompatible with an older one.
func mayBreak(older, newer string) bool {
	if semver.Major(older) != semver.Major(newer) {
		return true
	}
	return semver.Major(older) == "v0" && semver.MajorMinor(older) != semver.MajorMinor(newer)
}

// exportAPI writes the exported API of a revision to a file. A module that requires
// the library gets that of the same revision.
func (m module) exportAPI(ctx context.Context, root, revision, file string) error {
	tree := file + ".tree"
	if err := extract(ctx, root, revision, tree); err != nil {
		return err
	}
	dir, alone := filepath.Join(tree, filepath.FromSlash(m.dir)), []string{"GOWORK=off"}
	if m.dir != "." {
		if _, err := output(ctx, dir, alone, "go", "mod", "edit", "-replace="+library+"="+tree); err != nil {
			return err
		}
	}
	_, err := output(ctx, dir, alone, "go", "run", apidiff, "-m", "-w", file, m.path)
	return err
}
