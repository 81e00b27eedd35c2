package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
)

// The protocol between pathcheck -peer and -serve: the client sends a line, the
// server answers with a line of JSON, a sighting; as often as the client likes.
const (
	question    = "pathcheck: which marks?\n"
	longestLine = 1 << 10
)

// ask asks the far end twice, before and after midway.
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
		return fmt.Errorf("the far end is no pathcheck -serve: it says %q", strings.TrimSpace(line))
	}
	seen.add(t.seen)
	t.seen = seen
	return nil
}
