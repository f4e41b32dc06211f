package cli

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/urfave/cli/v2"
)

func workRequestLogCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "show the log of a work request", ArgsUsage: "ID",
		Description: "Example: debusine work-request log 12 --follow",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on as the log grows, until it is complete"},
			&cli.IntFlag{Name: "tail", Usage: "only the last `N` lines of what there is"}},
		Action: talk(workRequestLog),
	}
}

// followPause is how often a growing log is looked at.
const followPause = 500 * time.Millisecond

func workRequestLog(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	if s.Bool("follow") {
		s.api = s.api.WithPatience(longWait, s.away())
	}
	safe := &safeWriter{to: s.out.to}
	var to io.Writer = safe
	tail := &lastLines{most: s.Int("tail")}
	if s.IsSet("tail") {
		to = tail
	}
	for offset := int64(0); ; {
		n, complete, err := s.api.WorkRequestLog(s.ctx(), id, offset, to)
		if err != nil {
			return err
		}
		if offset += n; n > 0 {
			continue // a piece may be less than all there is
		}
		if err := tail.print(safe); err != nil {
			return err
		}
		tail.buffer, to = nil, safe
		if complete || !s.Bool("follow") {
			return errors.Join(safe.flush(), s.endOfLog(offset, complete))
		}
		select {
		case <-s.ctx().Done():
			return s.ctx().Err()
		case <-time.After(followPause):
		}
	}
}

func (s *session) endOfLog(length int64, complete bool) error {
	switch {
	case length == 0:
		s.note("the log is empty")
	case !complete && s.tty:
		s.note("(the log may still grow: --follow goes on)")
	}
	return nil
}

// lastLines keeps the last lines of what is written to it.
type lastLines struct {
	most   int
	buffer []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.buffer = append(l.buffer, p...)
	for end := len(bytes.TrimSuffix(l.buffer, []byte("\n"))); bytes.Count(l.buffer[:end], []byte("\n")) >= max(l.most, 1); end = len(bytes.TrimSuffix(l.buffer, []byte("\n"))) {
		l.buffer = l.buffer[bytes.IndexByte(l.buffer, '\n')+1:]
	}
	return len(p), nil
}

func (l *lastLines) print(to io.Writer) error {
	_, err := to.Write(l.buffer)
	return err
}
