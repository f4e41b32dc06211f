package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"debusine"
	"debusine/api"
)

// How long the machine waits before it asks again, and how often it says what
// it can do.
const (
	askAgain   = 3 * time.Second
	reportPace = 5 * time.Minute
)

// serve takes work until drain ends; then it finishes what is in hand, unless
// ctx ends too: then it gives that back.
func (m *machine) serve(ctx, drain context.Context) error {
	for drain.Err() == nil {
		hello, err := m.hello(drain)
		if err != nil {
			return nil // only the end of drain makes hello give up
		}
		if err := m.take(ctx, drain, hello); err != nil && drain.Err() == nil {
			m.log.Warn("lost the gateway; asking the server again", "error", err)
			pause(drain, askAgain+time.Duration(rand.Int64N(int64(askAgain))))
		}
	}
	return nil
}

// hello reports what the machine can do until the server takes it in.
func (m *machine) hello(ctx context.Context) (api.WorkerHello, error) {
	said := ""
	for {
		hello, err := m.home.Hello(ctx, m.report())
		if err == nil && hello.Enabled {
			m.log.Info("joined", "name", hello.Name, "gateway", hello.Gateway, "tags", hello.TagsProvided)
			if hello.Concurrency != m.concurrency {
				m.log.Info("an administrator says how much it takes at once, not --concurrency", "takes", hello.Concurrency, "concurrency", m.concurrency,
					"hint", "debusine admin worker manage "+hello.Name+" --concurrency N")
			}
			if len(hello.TagsIgnored) > 0 {
				m.log.Warn("tags that only an administrator may give were ignored", "tags", hello.TagsIgnored)
			}
			return hello, nil
		}
		if ctx.Err() != nil {
			return hello, ctx.Err()
		}
		words := "waiting until an administrator enables this worker"
		if err != nil {
			words = err.Error()
		}
		if words != said {
			m.log.Info("not taken in yet", "reason", words)
			said = words
		}
		pause(ctx, askAgain)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take polls the gateway until drain ends or the connection is worth no more
// trying.
func (m *machine) take(ctx, drain context.Context, hello api.WorkerHello) error {
	options := sdk.Options{HostPort: hello.Gateway, Namespace: hello.Namespace, Identity: hello.Name,
		Credentials: sdk.NewAPIKeyStaticCredentials(m.token), Logger: temporallog.NewStructuredLogger(m.log)}
	if !hello.GatewayTLS {
		if !loopback(hello.Gateway) {
			return fmt.Errorf("the gateway %s offers no TLS; plain text is for loopback alone", hello.Gateway)
		}
		options.ConnectionOptions.TLSDisabled = true
	}
	c, err := sdk.DialContext(drain, options)
	if err != nil {
		return err
	}
	defer c.Close()
	fatal := make(chan error, 1)
	stopping, giveBack := context.WithCancel(context.Background())
	defer giveBack()
	w := worker.New(c, hello.TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize: m.atOnce(hello.Concurrency), MaxConcurrentActivityTaskPollers: m.atOnce(hello.Concurrency),
		DisableWorkflowWorker: true, DisableEagerActivities: true, DisableRegistrationAliasing: true, Identity: hello.Name,
		WorkerStopTimeout: 36 * time.Hour, // a drain finishes the work in hand, however long
		OnFatalError:      func(err error) { fatal <- err },
	})
	w.RegisterDynamicActivity((&jobs{home: m.home, heart: c, doer: m.doer, log: m.log, stopping: stopping}).do, activity.DynamicRegisterOptions{})
	if err := w.Start(); err != nil {
		return err
	}
	err = m.wait(drain, hello, fatal)
	defer context.AfterFunc(ctx, giveBack)()
	w.Stop()
	return err
}

// wait keeps reporting, and comes back when the worker has to go or to move.
func (m *machine) wait(drain context.Context, hello api.WorkerHello, fatal <-chan error) error {
	for {
		select {
		case <-drain.Done():
			return nil
		case err := <-fatal:
			return err
		case <-time.After(reportPace):
		}
		again, err := m.home.Hello(drain, m.report())
		if err != nil && !errors.As(err, new(debusine.Forbidden)) {
			m.log.Warn("could not report", "error", err)
		}
		if err == nil && (again.Gateway != hello.Gateway || again.TaskQueue != hello.TaskQueue || again.Concurrency != hello.Concurrency) {
			return errors.New("the server has moved the gateway")
		}
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func nativeArchitecture(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return "", fmt.Errorf("asking dpkg for the architecture: %w\nhint: give --arch", err)
	}
	return strings.TrimSpace(string(out)), nil
}
