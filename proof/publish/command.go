package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// output runs a command in dir and returns what it prints, without the newline at
// the end. env is added to the environment.
func output(ctx context.Context, dir string, env []string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// extract writes the files of a revision to dir, a directory that does not exist yet.
func extract(ctx context.Context, root, revision, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	tar := dir + ".tar"
	if _, err := output(ctx, root, nil, "git", "archive", "--format=tar", "--output="+tar, revision); err != nil {
		return err
	}
	_, err := output(ctx, dir, nil, "tar", "-xf", tar)
	return err
}
