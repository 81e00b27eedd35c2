package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
)

// The protocol between pathcheck -peer and -serve: the client sends the question, and the
// server answers with a sighting as a line of JSON. The client may repeat this.
const (
	question    = "pathcheck: which marks?\n"
	longestLine = 1 << 10
)

// ask asks the server before and after midway.
func ask(c net.Conn, _ target, t *trial, midway func() error) error {
	answers := bufio.NewReader(io.LimitReader(c, longestLine))
	if err := askOnce(c, answers, t); err != nil {
		return err
	}
	if err := midway(); err != nil {
		return err
	}
	return askOnce(c, answers, t)
}

func askOnce(c net.Conn, answers *bufio.Reader, t *trial) error {
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	line, err := answers.ReadString('\n')
	if err != nil {
		return err
	}
	seen := new(sighting)
	if err := json.Unmarshal([]byte(line), seen); err != nil {
		return fmt.Errorf("the server is not pathcheck -serve: it sent %q", strings.TrimSpace(line))
	}
	seen.add(t.seen)
	t.seen = seen
	return nil
}
