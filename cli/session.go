package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"debusine/client"
)

// session is one verb under way: the server, and where to print.
type session struct {
	*cli.Context
	api    *client.Client
	config serverConfig
	out    *output
	notes  io.Writer // progress, warnings: standard error, or nothing
	tty    bool      // notes is a terminal
	bars   sync.Mutex
}

// patience is for how long a server that cannot be reached is tried.
const patience = 10 * time.Second

// talk makes a verb: it needs the configuration and speaks to the server.
func talk(verb func(*session) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := newSession(c)
		if err != nil {
			return refused{err}
		}
		ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
		defer stop()
		c.Context = ctx
		err = verb(s)
		switch err.(type) {
		case nil, usage, failed, stopped:
			return err
		}
		if ctx.Err() != nil {
			return stopped{what: "stopped"}
		}
		return refused{err}
	}
}

func newSession(c *cli.Context) (*session, error) {
	if c.Bool("json") && c.Bool("yaml") {
		return nil, usage{what: "--json and --yaml exclude each other"}
	}
	config, err := readConfig(c.String("config-file"), c.String("server"))
	if err != nil {
		return nil, err
	}
	if scope := c.String("scope"); scope != "" {
		config.scope = scope
	}
	s := &session{Context: c, config: config, out: newOutput(c), notes: c.App.ErrWriter}
	if file, ok := c.App.ErrWriter.(*os.File); ok {
		s.tty = term.IsTerminal(int(file.Fd()))
	}
	if c.Bool("silent") {
		s.notes, s.tty = io.Discard, false
	}
	options := client.Options{BaseURL: config.apiURL, Token: config.token, Scope: config.scope, Patience: patience, Waiting: s.waiting()}
	if c.Bool("debug") {
		options.HTTP = &http.Client{Transport: tracing{c.App.ErrWriter}}
	}
	s.api = client.New(options)
	return s, nil
}

// ctx ends with Ctrl-C.
func (s *session) ctx() context.Context { return s.Context.Context }

// note prints a line for people, unless the session is silent.
func (s *session) note(format string, args ...any) { fmt.Fprintf(s.notes, format+"\n", args...) }

// waiting tells once that the server is away.
func (s *session) waiting() func(error, time.Duration) {
	told := false
	return func(err error, _ time.Duration) {
		if !told {
			s.note("%v; trying again for %s", err, patience)
		}
		told = true
	}
}

// want asks for a number of arguments.
func (s *session) want(names ...string) error {
	if s.NArg() == len(names) {
		return nil
	}
	return wrong(s, names...)
}

// wrong says which arguments a verb takes.
func wrong(s *session, names ...string) error {
	what := "no argument"
	if len(names) > 0 {
		what = strings.Join(names, " ")
	}
	return usage{what: fmt.Sprintf("%s takes %s, not %d arguments", s.Command.HelpName, what, s.NArg()), hint: s.Command.HelpName + " --help"}
}

// id reads the argument that is a number.
func (s *session) id(what string) (int64, error) {
	if s.NArg() != 1 {
		return 0, s.want("ID")
	}
	return parseID(what, s.Args().First())
}

func parseID(what, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, usage{what: fmt.Sprintf("%q is not the number of %s", text, what), hint: what + " is named by its number"}
	}
	return id, nil
}

// workspace is the one named, or the server's default.
func (s *session) workspace() string { return s.String("workspace") }

const defaultWorkspace = "System"

// place is the workspace where the API's path wants one.
func (s *session) place() string {
	if w := s.workspace(); w != "" {
		return w
	}
	return defaultWorkspace
}

func workspaceFlag() cli.Flag {
	return &cli.StringFlag{Name: "workspace", Aliases: []string{"w"}, Usage: "in the workspace `NAME`", DefaultText: defaultWorkspace, EnvVars: []string{"DEBUSINE_WORKSPACE"}}
}

func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 20, Usage: "at most `N`; 0 for all"}
}

// tracing prints requests for --debug; never the token.
type tracing struct{ to io.Writer }

func (t tracing) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := http.DefaultTransport.RoundTrip(r)
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		fmt.Fprintf(t.to, "debug: %s %s: %v (%s)\n", r.Method, r.URL, err, took)
		return nil, err
	}
	fmt.Fprintf(t.to, "debug: %s %s: %s (%s)\n", r.Method, r.URL, answer.Status, took)
	return answer, nil
}
