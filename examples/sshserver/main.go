//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the program and returns its exit status. It serves until ctx ends, and
// then returns 0. All sessions have ended by then, and of their processes only
// those that doc.go names remain.
func run(ctx context.Context, args []string, _ io.Reader, _, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := listenAndServe(ctx, o, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "sshserver:", err)
		return 1
	}
	return 0
}

func listenAndServe(ctx context.Context, o options, log *slog.Logger) error {
	s, err := newServer(o, log)
	if err != nil {
		return err
	}
	l, err := o.listener(ctx, log)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", l.Addr().String(), "hostkey", s.fingerprint)
	return s.serve(ctx, l)
}
