package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/activities/worker"
	"debusine/client"
	"debusine/executor"
)

// Command is `debusine worker`: a build machine.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "join this machine to a server as a build worker",
		Description: "Registers with the server, waits until an administrator enables it (debusine admin worker enable NAME),\n" +
			"then takes work. Run it as root on a machine of its own: builds run as the user debusine-build, each in a\n" +
			"network namespace of its own.\n\n" +
			"SIGTERM gives work in hand back at once; SIGUSR1 drains: the work in hand is finished, then it exits.\n\n" +
			"Example: debusine worker --api-url https://debusine.example.org/api --token-file /etc/debusine/worker.token",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "api-url", Usage: "the server's API at `URL`", Required: true, EnvVars: []string{"DEBUSINE_API_URL"}},
			&cli.StringFlag{Name: "token-file", Usage: "the worker's token is in `FILE`; without it the worker registers and makes it", Required: true, EnvVars: []string{"DEBUSINE_TOKEN_FILE"}},
			&cli.StringFlag{Name: "name", Usage: "register as `NAME` (default: the host name)"},
			&cli.StringFlag{Name: "arch", Usage: "build for architecture `ARCH` (default: dpkg --print-architecture)"},
			&cli.StringFlag{Name: "state", Usage: "keep work folders and environments in `DIR`", Value: "/var/lib/debusine/worker"},
			&cli.IntFlag{Name: "concurrency", Usage: "ask for `N` work requests at once when it registers; later an administrator says how many", Value: 1},
			&cli.StringFlag{Name: "backends", Usage: "offer these `BACKENDS` of builds, separated by commas, of incus-lxc, incus-vm, qemu, schroot and unshare; what does not work here is left out, with the reason in the log", EnvVars: []string{"DEBUSINE_BACKENDS"}, DefaultText: "qemu,schroot,unshare where they work"},
			&cli.StringFlag{Name: "job-memory", Usage: "end a job's process when all of its processes hold more than `SIZE` (8G, 512M; none: no limit)", EnvVars: []string{"DEBUSINE_JOB_MEMORY"}, DefaultText: "nine tenths of the machine's"},
			&cli.StringFlag{Name: "job-disk", Usage: "stop a job that takes more than `SIZE` of disk", EnvVars: []string{"DEBUSINE_JOB_DISK"}, DefaultText: "what the disk has"},
			&cli.StringFlag{Name: "job-processes", Usage: "stop a job that has more than `N` processes and threads at once", EnvVars: []string{"DEBUSINE_JOB_PROCESSES"}, DefaultText: "8192"},
			&cli.StringFlag{Name: "ready-size", Usage: "keep environments unpacked and up to date in `SIZE` of disk, so that builds begin sooner (none: unpack for each build)", EnvVars: []string{"DEBUSINE_READY_SIZE"}, DefaultText: "10G"},
			&cli.BoolFlag{Name: "inherit-network", Usage: "builds use this process's network: its administrator has put it into a namespace of its own"},
			&cli.StringFlag{Name: "log-level", Usage: "debug, info, warn or error", Value: "info"},
		},
		Action: run,
	}
}

func run(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return cli.Exit("--log-level: "+err.Error()+"\nhint: debug, info, warn or error", 2)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	m, err := newMachine(c, log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	drain, finish := context.WithCancel(ctx)
	defer finish()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			log.Info("drains: finishes the work in hand, then exits")
			finish()
		case <-drain.Done():
		}
	}()
	defer m.doer.Close()
	return m.serve(ctx, drain)
}

// machine is this build machine.
type machine struct {
	home        Home
	doer        *workeract.Doer
	box         *executor.Machine
	log         *slog.Logger
	arch        string
	concurrency int
	token       string
	offers      []offer
}

func newMachine(c *cli.Context, log *slog.Logger) (*machine, error) {
	limits, err := jobLimits(c)
	if err != nil {
		return nil, err
	}
	readySize, err := readySize(c)
	if err != nil {
		return nil, err
	}
	backends, err := wantedBackends(c.String("backends"))
	if err != nil {
		return nil, err
	}
	arch := c.String("arch")
	if arch == "" {
		var err error
		if arch, err = nativeArchitecture(c.Context); err != nil {
			return nil, err
		}
	}
	name := c.String("name")
	if name == "" {
		name, _ = os.Hostname()
	}
	token, err := ensureToken(c.Context, c.String("api-url"), c.String("token-file"), name, c.Int("concurrency"), log)
	if err != nil {
		return nil, err
	}
	box, err := executor.Open(c.Context, executor.Config{Dir: c.String("state"), Instance: instance(name), InheritNetwork: c.Bool("inherit-network"), Limits: limits, Log: log})
	if err != nil {
		return nil, err
	}
	if !box.Isolated() {
		log.Warn("without root jobs are not kept from one another: this worker takes one at a time", "hint", "run it as root on a machine of its own")
	}
	doer, err := workeract.New(c.Context, box, log)
	if err != nil {
		return nil, err
	}
	if err := doer.KeepReady(readySize); err != nil {
		return nil, err
	}
	return &machine{home: newHome(c.String("api-url"), token), doer: doer, box: box, log: log.With("worker", name), arch: arch, concurrency: c.Int("concurrency"), token: token,
		offers: findBackends(c.Context, box, backends, c.IsSet("backends"), log)}, nil
}

// ensureToken reads the token, or makes one and registers with it. The file is
// written first: a registration whose token is lost would block the name.
func ensureToken(ctx context.Context, apiURL, path, name string, concurrency int, log *slog.Logger) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(raw)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the worker's token: %w", err)
	}
	secret := debusine.NewSecret()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the worker's token: %w", err)
	}
	registered, err := newHome(apiURL, "").Register(ctx, registration(secret, name, concurrency))
	if err != nil {
		return "", errors.Join(fmt.Errorf("registering with the server: %w", err), os.Remove(path))
	}
	log.Info("registered; an administrator must enable it now", "name", registered.Name, "hint", "debusine admin worker enable "+registered.Name)
	return secret, nil
}

// instance is the name by which leftovers of this worker are found.
func instance(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

func newHome(apiURL, token string) Home {
	return home{client.New(client.Options{BaseURL: apiURL, Token: token, UserAgent: "debusine-worker", Patience: 12 * time.Hour})}
}
