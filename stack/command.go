package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// Command is `debusine standalone`: everything on one machine, until a signal.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "standalone",
		Usage: "run everything on this machine: database, Temporal, server and workers",
		Description: "Starts PostgreSQL (the host's programs, a private database in the state folder), Temporal with its Web UI,\n" +
			"the server, a signing worker with a database of its own, and one build worker for each architecture that the\n" +
			"machine runs natively. Prints one line, \"ready …\",\n" +
			"when all is up; SIGTERM or SIGINT stops it in order, a second one in a hurry. The state survives.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "state", Usage: "keep everything in `DIR` (default: .state in the checkout; for root a folder in " + rootStates + ")"},
			&cli.IntFlag{Name: "port-base", Value: DefaultPortBase, Usage: fmt.Sprintf("use the %d loopback ports from `N` on; 0 looks for free ones", portCount)},
			&cli.StringFlag{Name: "mirror", Usage: "the Debian mirror at `URL` instead of the one that this machine's apt uses"},
			&cli.BoolFlag{Name: "no-workers", Usage: "start no worker, neither for builds nor for signatures"},
			&cli.BoolFlag{Name: "no-signing", Usage: "start no signing worker"},
			&cli.BoolFlag{Name: "stop", Usage: "stop the stack that runs in the state folder, and start none"},
			&cli.StringFlag{Name: "only", Hidden: true, Usage: "infrastructure: PostgreSQL, Temporal and its Web UI alone"},
		},
		Action: standalone,
	}
}

func standalone(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("standalone takes no argument, not %q; hint: debusine standalone --help", c.Args().First())
	}
	begin := Start
	switch c.String("only") {
	case "":
	case "infrastructure":
		begin = StartInfrastructure
	default:
		return fmt.Errorf("--only knows infrastructure, not %q", c.String("only"))
	}
	state, link := c.String("state"), ""
	if state == "" {
		home, _ := checkout()
		state, link = defaultState(home, os.Geteuid() == 0)
	}
	if c.Bool("stop") {
		did, err := stopOther(state)
		if err == nil {
			fmt.Fprintln(c.App.Writer, did)
		}
		return err
	}
	if err := linkState(link, state); err != nil {
		return err
	}
	first, second, done := untilSignals(c.Context)
	defer done()
	running, err := begin(first, Options{
		State: state, PortBase: c.Int("port-base"), Mirror: c.String("mirror"), NoWorker: c.Bool("no-workers"),
		NoSigning: c.Bool("no-workers") || c.Bool("no-signing"),
		Log:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before everything was up")
	}
	if err != nil {
		return err
	}
	if err := announce(c.App.Writer, running, c.String("only") == ""); err != nil {
		running.Stop(second)
		return err
	}
	<-first.Done()
	running.log.Info("stopping")
	running.Stop(second)
	return nil
}

// announce prints the one line that tells that all is up, and keeps it in
// run/ready for those who come later.
func announce(to io.Writer, running *Stack, all bool) error {
	line := fmt.Sprintf("ready temporal=%s ui=%s state=%s\n", running.TemporalAddress(), running.UI(), running.State())
	if all {
		line = fmt.Sprintf("ready api=%s gateway=%s ui=%s config=%s\n", running.API(), running.Gateway(), running.UI(), running.ClientConfig())
	}
	if err := writeFile(running.folder.path("run", "ready"), []byte(line), 0o644); err != nil {
		return err
	}
	_, err := io.WriteString(to, line)
	return err
}

// untilSignals answers a context that ends with the first request to stop and one
// that ends with the second.
func untilSignals(parent context.Context) (first, second context.Context, done func()) {
	first, end := context.WithCancel(parent)
	second, hurry := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for range signals {
			if first.Err() != nil {
				hurry()
			}
			end()
		}
	}()
	return first, second, func() {
		signal.Stop(signals)
		close(signals)
		end()
		hurry()
	}
}
