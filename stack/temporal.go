package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"log/slog"
)

// Namespace is the Temporal namespace of every installation.
const Namespace = "debusine"

// historyShards cannot be changed once Temporal's database exists. Each shard
// writes one thing at a time, and each costs a little when idle.
const historyShards = 8

// temporal is the Temporal server and its Web UI on our PostgreSQL.
type temporal struct {
	folder   folder
	ports    ports
	tools    tools
	password string
	database string // PostgreSQL's host; "": the socket of the state folder
	frontend string // HOST:PORT; "": on loopback
}

func (t *temporal) address() string { return cmp.Or(t.frontend, t.ports.address(portFrontend)) }

func (t *temporal) databaseHost() string { return cmp.Or(t.database, t.folder.path("pg")) }

// settings fill in temporal-config/server.yaml.tmpl and ui.yaml.tmpl.
type settings struct {
	Shards                                   int
	Socket, User, Password                   string
	Database, Visibility                     string
	CA, ServerCert, ServerKey, UICert, UIKey string
	Frontend, Dynamic, Namespace, UIOrigin   string
	UIPort                                   int
	FrontendPort, HistoryPort, MatchingPort  int
	WorkerPort                               int
	FrontendRing, HistoryRing, MatchingRing  int
	WorkerRing                               int
	// Other machines reach the frontend and the Web UI; the rest stays on loopback.
	Open bool
}

func (t *temporal) settings() settings {
	f, p := t.folder, t.ports
	return settings{
		Shards: historyShards, Socket: t.databaseHost(), User: roleTemporal, Password: t.password,
		Database: databaseTemporal, Visibility: databaseVisibility,
		CA:         f.path("pki", "ca.crt"),
		ServerCert: f.path("pki", "server.crt"), ServerKey: f.path("pki", "server.key"),
		UICert: f.path("pki", "ui.crt"), UIKey: f.path("pki", "ui.key"),
		Frontend: t.address(), Dynamic: f.path("temporal", "dynamic.yaml"), Namespace: Namespace,
		UIPort: p.at(portUI), UIOrigin: "http://" + p.address(portUI),
		FrontendPort: p.at(portFrontend), FrontendRing: p.at(portFrontendRing),
		HistoryPort: p.at(portHistory), HistoryRing: p.at(portHistoryRing),
		MatchingPort: p.at(portMatching), MatchingRing: p.at(portMatchingRing),
		WorkerPort: p.at(portWorker), WorkerRing: p.at(portWorkerRing),
	}
}

// configure writes the configurations of the server and the Web UI.
func (t *temporal) configure() error {
	dynamic, err := os.ReadFile(filepath.Join(t.tools.config, "dynamic.yaml"))
	if err != nil {
		return fmt.Errorf("reading Temporal's dynamic configuration: %w", err)
	}
	if err := writeFile(t.folder.path("temporal", "dynamic.yaml"), dynamic, 0o600); err != nil {
		return err
	}
	if err := t.settings().render(t.tools, "server.yaml.tmpl", t.folder.path("temporal", "server.yaml")); err != nil {
		return err
	}
	return t.settings().render(t.tools, "ui.yaml.tmpl", t.folder.path("ui", "config", "debusine.yaml"))
}

// render fills in a template of temporal-config.
func (s settings) render(tools tools, name, to string) error {
	// A quoted Go string of a path is a quoted YAML string too.
	shape, err := template.New(name).Funcs(template.FuncMap{"quote": strconv.Quote}).Option("missingkey=error").
		ParseFiles(filepath.Join(tools.config, name))
	if err != nil {
		return fmt.Errorf("reading the template %s: %w", name, err)
	}
	var text strings.Builder
	if err := shape.Execute(&text, s); err != nil {
		return fmt.Errorf("filling in the template %s: %w", name, err)
	}
	return writeFile(to, []byte(text.String()), 0o600)
}

// schemas are Temporal's two databases and the names of their schemas, embedded in
// the schema tool.
func schemas() map[string]string {
	return map[string]string{
		databaseTemporal:   "postgresql/v12/temporal",
		databaseVisibility: "postgresql/v12/visibility",
	}
}

// migrate brings Temporal's databases to the schema of this release.
func (t *temporal) migrate(ctx context.Context, versioned func(ctx context.Context, database string) (bool, error)) error {
	for database, schema := range schemas() {
		there, err := versioned(ctx, database)
		if err != nil {
			return err
		}
		if !there {
			// The tool is not atomic; what an interrupted run left is dropped first.
			if err := t.sqlTool(ctx, database, "setup-schema", "--overwrite", "-v", "0.0"); err != nil {
				return err
			}
		}
		if err := t.sqlTool(ctx, database, "update-schema", "--schema-name", schema); err != nil {
			return err
		}
	}
	return nil
}

func (t *temporal) sqlTool(ctx context.Context, database string, args ...string) error {
	attributes := url.Values{"host": {t.databaseHost()}, "sslmode": {"disable"}}
	cmd := exec.CommandContext(ctx, t.tools.sql, append([]string{
		"--plugin", "postgres12_pgx", "--endpoint", "localhost", "--port", "5432", "--user", roleTemporal,
		"--database", database, "--connect-attributes", attributes.Encode()}, args...)...)
	cmd.Env = append(os.Environ(), "SQL_PASSWORD="+t.password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.OpenFile(t.folder.path("log", "schema.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("opening the schema tool's log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the schema tool of Temporal failed (%s %s): %w; its last words: %q; hint: its log is %s",
			args[0], database, err, lastLine(out.Name()), out.Name())
	}
	return nil
}

func (t *temporal) serverPart() *part {
	return &part{name: nameTemporal, patience: 20 * time.Second, command: func() (*exec.Cmd, error) {
		cmd := exec.Command(t.tools.server, "--config-file", t.folder.path("temporal", "server.yaml"), "--allow-no-auth", "start")
		cmd.Dir = t.folder.path("temporal")
		return cmd, nil
	}, ready: t.ready}
}

func (t *temporal) uiPart() *part {
	return &part{name: nameUI, patience: 5 * time.Second, command: func() (*exec.Cmd, error) {
		cmd := exec.Command(t.tools.ui, "--root", t.folder.path("ui"), "--config", "config", "--env", "debusine", "start")
		cmd.Dir = t.folder.path("ui")
		return cmd, nil
	}, ready: func(ctx context.Context) error { return answers(ctx, "http://"+t.ports.address(portUI)+"/healthz") }}
}

// ready asks the frontend, which answers only when it can reach the others.
func (t *temporal) ready(ctx context.Context) error {
	c, err := t.dial(ctx, Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// dial connects as the client of pki/; it waits for the frontend no longer than
// ctx allows.
func (t *temporal) dial(ctx context.Context, namespace string) (client.Client, error) {
	options, err := clientOptions(t.folder, t.address(), namespace)
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("reaching Temporal at %s: %w", options.HostPort, err)
	}
	return c, nil
}

func clientOptions(f folder, address, namespace string) (client.Options, error) {
	conf, err := f.clientTLS("client")
	if err != nil {
		return client.Options{}, err
	}
	return client.Options{
		HostPort: address, Namespace: namespace,
		ConnectionOptions: client.ConnectionOptions{TLS: conf},
		Logger:            temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}, nil
}

// answers asks for a page and wants status 200.
func answers(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	}}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(page + " answers " + answer.Status)
	}
	return nil
}
