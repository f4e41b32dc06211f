package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

// deployment is an installation whose parts run in containers or on several
// machines (docker-compose.yml). Each part sees one folder of it, and its own
// volume there:
//
//	authority/    the authority's key, all passwords: for the three verbs below alone
//	postgresql/   the superuser's password
//	temporal/     the Temporal server's configuration, certificate and key
//	ui/           the same of the Web UI
//	server/       what `debusine server` shows Temporal and the signing worker, and its database's password
//	signing/      what `debusine signing` shows Temporal, its database's password, its service keys
type deployment struct {
	dir        string
	postgresql string // host, or the folder of a socket
	frontend   string // HOST:PORT of Temporal, as its clients call it
	ports      ports
	authority  folder
	tools      tools
}

// deploymentAPI is the name of the service that serves the API over TLS, and of its
// certificate.
const deploymentAPI = "signing-api"

// deploymentParts are the folders of a deployment besides authority/.
func deploymentParts() []string { return []string{"postgresql", "temporal", "ui", "server", "signing"} }

// DeploymentCommand is `debusine deployment`: what must be there before the parts
// of an installation on several machines can start.
func DeploymentCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "dir", Usage: "keep keys, passwords and configurations in `DIR`", Value: "/deployment"},
		&cli.StringFlag{Name: "postgresql", Usage: "PostgreSQL is at `HOST`, port 5432; or the folder of its socket", Value: "postgresql"},
		&cli.StringFlag{Name: "temporal", Usage: "Temporal's frontend is at `HOST:PORT`; the Web UI has the port below, seven services those above", Value: "temporal:7233"},
	}
	verb := func(name, usage string, do func(*deployment, context.Context) error) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: flags, Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("deployment %s takes no argument, not %q; hint: debusine deployment %s --help", name, c.Args().First(), name)
			}
			d, err := openDeployment(c.String("dir"), c.String("postgresql"), c.String("temporal"))
			if err != nil {
				return err
			}
			return do(d, c.Context)
		}}
	}
	return &cli.Command{
		Name:  "deployment",
		Usage: "prepare an installation on several machines (docker-compose.yml)",
		Description: "Three steps, each of which can be done again at any time: `prepare` before anything runs, `schema` when\n" +
			"PostgreSQL answers, `namespace` when Temporal does. docker-compose.yml has a service for each.",
		Subcommands: []*cli.Command{
			verb("prepare", "make passwords, certificates and the configurations of Temporal and its Web UI", (*deployment).prepare),
			verb("schema", "make the roles and databases, and bring Temporal's to this release", (*deployment).schema),
			verb("namespace", "make Temporal's namespace and its search attributes", (*deployment).namespace),
		},
	}
}

func openDeployment(dir, postgresql, frontend string) (*deployment, error) {
	host, text, err := net.SplitHostPort(frontend)
	port, err2 := strconv.Atoi(text)
	if err := errors.Join(err, err2); err != nil || host == "" {
		return nil, fmt.Errorf("--temporal %q is no HOST:PORT (%w); hint: --temporal temporal:7233", frontend, cmp.Or(err, errors.New("the host is missing")))
	}
	d := &deployment{dir: dir, postgresql: postgresql, frontend: frontend, ports: ports{Base: port - portFrontend}}
	if d.ports.Base < 1 || d.ports.Base+portCount > 65536 {
		return nil, fmt.Errorf("--temporal %q leaves no room for the ports beside it; hint: a port from 1024 to %d", frontend, 65536-portCount)
	}
	if d.tools, err = findTools(); err != nil {
		return nil, err
	}
	if d.authority, err = openFolder(filepath.Join(dir, "authority")); err != nil {
		return nil, err
	}
	return d, nil
}

// temporal is Temporal as the authority's own client sees it.
func (d *deployment) temporal() (*temporal, error) {
	words, err := d.authority.passwords()
	if err != nil {
		return nil, err
	}
	return &temporal{folder: d.authority, ports: d.ports, tools: d.tools, password: words[roleTemporal], database: d.postgresql, frontend: d.frontend}, nil
}

// prepare makes what is missing or about to expire and hands each part its copy.
func (d *deployment) prepare(context.Context) error {
	host, _, _ := net.SplitHostPort(d.frontend)
	if err := d.authority.certificates(time.Now(), host); err != nil {
		return err
	}
	// The signing worker speaks to the API over TLS alone.
	if err := d.authority.certificate(deploymentAPI, true, time.Now(), []string{deploymentAPI}); err != nil {
		return err
	}
	t, err := d.temporal()
	if err != nil {
		return err
	}
	for _, part := range deploymentParts() {
		// PostgreSQL's container has a user of its own; nobody else sees that volume.
		mode := os.FileMode(0o700)
		if part == "postgresql" {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Join(d.dir, part), mode); err != nil {
			return fmt.Errorf("making the folder of %s: %w", part, err)
		}
	}
	if err := d.handPasswords(); err != nil {
		return err
	}
	for name, part := range map[string]string{"server": "temporal", "ui": "ui", "client": "server", deploymentAPI: "server", nameSigning: "signing"} {
		for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
			if err := d.hand(part, file); err != nil {
				return err
			}
		}
	}
	// Made where they stay: the authority has no copy of them.
	if err := keepServiceKeys(filepath.Join(d.dir, "signing", serviceKeys)); err != nil {
		return err
	}
	return d.configure(t)
}

// hand copies a file of the authority's to a part, for its user alone.
func (d *deployment) hand(part, file string) error {
	data, err := os.ReadFile(d.authority.path("pki", file))
	if err != nil {
		return fmt.Errorf("handing %s to %s: %w", file, part, err)
	}
	return writeFile(filepath.Join(d.dir, part, file), data, 0o600)
}

func (d *deployment) handPasswords() error {
	p := &postgres{folder: d.authority}
	if err := p.readPasswords(); err != nil {
		return err
	}
	// libpq's form, one role: what the server does not need it does not know.
	for part, role := range map[string]string{"server": roleOurs, "signing": roleSigning} {
		line := "*:*:*:" + role + ":" + p.passwords[role] + "\n"
		if err := writeFile(filepath.Join(d.dir, part, "pgpass"), []byte(line), 0o600); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(d.dir, "postgresql", "password"), []byte(p.passwords[roleAll]), 0o644)
}

// configure writes the configurations as the containers will read them.
func (d *deployment) configure(t *temporal) error {
	at := func(part, file string) string { return filepath.Join(d.dir, part, file) }
	s := t.settings()
	s.Open = true
	s.ServerCert, s.ServerKey, s.CA = at("temporal", "server.crt"), at("temporal", "server.key"), at("temporal", "ca.crt")
	s.Dynamic = at("temporal", "dynamic.yaml")
	dynamic, err := os.ReadFile(filepath.Join(d.tools.config, "dynamic.yaml"))
	if err != nil {
		return fmt.Errorf("reading Temporal's dynamic configuration: %w", err)
	}
	if err := writeFile(s.Dynamic, dynamic, 0o600); err != nil {
		return err
	}
	if err := s.render(d.tools, "server.yaml.tmpl", at("temporal", "server.yaml")); err != nil {
		return err
	}
	s.CA, s.UICert, s.UIKey = at("ui", "ca.crt"), at("ui", "ui.crt"), at("ui", "ui.key")
	if err := os.MkdirAll(at("ui", "config"), 0o700); err != nil {
		return fmt.Errorf("making the Web UI's folder: %w", err)
	}
	return s.render(d.tools, "ui.yaml.tmpl", at("ui", filepath.Join("config", "debusine.yaml")))
}

// deploymentWait is how long a step waits for the part that it needs.
const deploymentWait = 3 * time.Minute

// schema waits for PostgreSQL, then makes roles, databases and Temporal's tables.
// Debusine's own are the server's to make.
func (d *deployment) schema(ctx context.Context) error {
	t, err := d.temporal()
	if err != nil {
		return err
	}
	p := &postgres{folder: d.authority, host: d.postgresql}
	if err := p.readPasswords(); err != nil {
		return err
	}
	if err := await(ctx, "PostgreSQL at "+d.postgresql, p.ready); err != nil {
		return err
	}
	if err := p.furnish(ctx); err != nil {
		return err
	}
	return t.migrate(ctx, p.schemaBegun)
}

// namespace waits for Temporal, then makes the namespace.
func (d *deployment) namespace(ctx context.Context) error {
	t, err := d.temporal()
	if err != nil {
		return err
	}
	if err := await(ctx, "Temporal at "+d.frontend, t.ready); err != nil {
		return err
	}
	return t.makeNamespace(ctx, Namespace)
}

func await(ctx context.Context, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deploymentWait)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, time.Second) {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}
