package cli

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/client"
)

func workRequestLogCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "show the log of a work request", ArgsUsage: "ID",
		Description: "The log goes to standard output byte for byte; on a terminal, of what could steer it only colours pass.\n" +
			"What is said about the log goes to standard error. --follow goes on until no more can come, also\n" +
			"when the worker is lost and another begins again: its log follows. The exit code says whether the\n" +
			"log was shown, not how the work ended: for that there is debusine work-request wait.\n\n" +
			"Example: debusine work-request log 12 --tail 20 --follow",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on as the log grows, until it is complete"},
			&cli.IntFlag{Name: "tail", Usage: "only the last `N` lines of what there is, and what follows"},
			&cli.Int64Flag{Name: "offset", Usage: "from byte `N` on"},
			&cli.IntFlag{Name: "attempt", Usage: "the log of attempt `N`", DefaultText: "the newest"}},
		Action: talk(workRequestLog),
	}
}

func workRequestLog(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	from := client.LogPosition{Attempt: s.Int("attempt"), Offset: s.Int64("offset")}
	lines := s.Int("tail")
	switch {
	case from.Attempt < 0 || from.Offset < 0 || lines < 0:
		return usage{what: "--attempt, --offset and --tail take numbers that are not negative"}
	case s.IsSet("tail") && s.IsSet("offset"):
		return usage{what: "--tail and --offset exclude each other"}
	case s.IsSet("tail"):
		from.Tail = &lines
	}
	to := io.WriteCloser(asItIs{s.out.to})
	if isTerminal(s.out.to) {
		to = &safeWriter{to: s.out.to}
	}
	if s.Bool("follow") {
		err = s.followLog(id, from, to)
	} else {
		err = s.showLog(id, from, to)
	}
	if closing := to.Close(); err == nil {
		err = closing
	}
	return err
}

// showLog prints the log as far as it is.
func (s *session) showLog(id int64, from client.LogPosition, to io.Writer) error {
	read, err := s.api.WorkRequestLog(s.ctx(), id, from, to)
	if err != nil {
		return err
	}
	switch {
	case read.Ending == "lost":
		s.note("(the worker of attempt %d was lost: its log ends here)", read.Attempt)
	case read.Bytes == 0 && read.Offset == 0:
		s.note("the log is empty")
	case !read.Complete && read.Ending == "" && s.tty:
		s.note("(the log may still grow: --follow goes on)")
	}
	return nil
}

// followLog prints the log as it grows.
func (s *session) followLog(id int64, from client.LogPosition, to io.Writer) error {
	s.api = s.api.WithPatience(longWait, s.away())
	at, end, err := s.api.FollowLog(s.ctx(), id, from, to, func(kind string, m api.LogMark) {
		if kind != api.LogFromAttempt || m.Attempt > 1 || m.Ending != "" {
			s.note("(%s)", oneLine(m.Message))
		}
	})
	switch {
	case err != nil && s.ctx().Err() != nil:
		return stopped{what: fmt.Sprintf("not following any more; work request %d goes on", id),
			hint: fmt.Sprintf("debusine work-request log %d --attempt %d --offset %d --follow goes on from here", id, at.Attempt, at.Offset)}
	case err != nil:
		return err
	case end.Offset == 0 && end.Message == "the log is complete":
		s.note("the log is empty")
	default:
		s.note("(%s%s)", oneLine(end.Message), withResult(end))
	}
	return nil
}

func withResult(m api.LogMark) string {
	if m.Result == "" {
		return ""
	}
	return "; the result is " + oneLine(m.Result)
}

// asItIs closes nothing.
type asItIs struct{ io.Writer }

// Close does nothing.
func (asItIs) Close() error { return nil }
