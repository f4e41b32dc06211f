package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"debusine"
	"debusine/files"
	"debusine/server/gateway"
	"debusine/server/orchestrator"
	"debusine/server/post"
	"debusine/store"
)

// Version is what this server calls itself.
const Version = "0.1"

// The roles of a server process.
const (
	roleAPI          = "api"
	roleGateway      = "gateway"
	roleOrchestrator = "orchestrator"
)

// Command is `debusine server`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "server",
		Usage: "run the HTTP API, the worker gateway and the orchestrator",
		Description: "Needs PostgreSQL and a Temporal cluster; makes its schema itself. It starts and answers while Temporal is\n" +
			"away, and goes on when PostgreSQL comes back. SIGTERM stops it in order.\n\n" +
			"Example: debusine server --database postgresql:///debusine --files /var/lib/debusine/files",
		Flags: append([]cli.Flag{
			text("database", "PostgreSQL at `DSN`, a URL or key=value words", "", true),
			text("files", "keep artifacts' files in `DIR`", "", true),
			text("temporal", "Temporal's frontend at `HOST:PORT`", "127.0.0.1:7233", false),
			text("temporal-namespace", "use Temporal's namespace `NAME`", "debusine", false),
			text("temporal-tls-ca", "trust the authority in `FILE` (PEM) for Temporal", "", false),
			text("temporal-tls-cert", "show Temporal the certificate in `FILE` (PEM)", "", false),
			text("temporal-tls-key", "the certificate's key is in `FILE` (PEM)", "", false),
			text("listen", "serve the API on `HOST:PORT`", "127.0.0.1:8011", false),
			text("gateway-listen", "serve workers on `HOST:PORT`", "127.0.0.1:8012", false),
			text("gateway-address", "tell workers that the gateway is at `HOST:PORT` (default: where it listens)", "", false),
			text("metrics-listen", "serve /metrics (OpenMetrics) on `HOST:PORT`, to whoever asks: not for the world", "", false),
			text("smtp", "send notifications through the mail server at `HOST:PORT`; without it they wait", "", false),
			text("smtp-tls", "protect mail on its way with starttls or tls, or not: off (default: off to this machine, else starttls)", "", false),
			text("smtp-auth-file", "the mail server wants what is in `FILE`: USER:PASSWORD", "", false),
			text("tls-cert", "serve API and gateway with the certificate in `FILE` (PEM)", "", false),
			text("tls-key", "the certificate's key is in `FILE` (PEM)", "", false),
			&cli.StringSliceFlag{Name: "signers", Usage: "accept signatures that people provide by the keys in `FILE|FOLDER` (OpenPGP certificates; several times), for example\n" +
				"of the package debian-keyring; without it none is accepted", EnvVars: []string{"DEBUSINE_SIGNERS"}},
			text("installation", "call a new database `NAME`, 4 to 16 letters and digits (default: a random one)", "", false),
			text("ui-url", "Temporal's Web UI is at `URL`", "", false),
			text("public-url", "this API is known as `URL`, without /api", "", false),
			text("fqdn", "sign what names nobody, such as changelog entries of binNMUs, as noreply@`HOST` (default: of --public-url, else this machine's name)", "", false),
			text("roles", "what this process does, with commas: `ROLES`", strings.Join([]string{roleAPI, roleGateway, roleOrchestrator}, ","), false),
			text("log-level", "debug, info, warn or error", "info", false),
		}, uploadFlags()...),
		Action: run,
	}
}

// text is a flag that may also stand in the environment as DEBUSINE_NAME.
func text(name, usage, value string, required bool) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage, Value: value, Required: required,
		EnvVars: []string{"DEBUSINE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}}
}

func run(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return cli.Exit("--log-level: "+err.Error()+"\nhint: debug, info, warn or error", 2)
	}
	if fqdn := c.String("fqdn"); fqdn != "" && !hostName.MatchString(fqdn) {
		return cli.Exit(fmt.Sprintf("--fqdn: %.80q is no host's name\nhint: for example debusine.example.org", fqdn), 2)
	}
	roles := strings.Split(c.String("roles"), ",")
	for _, role := range roles {
		if !slices.Contains([]string{roleAPI, roleGateway, roleOrchestrator}, role) {
			return cli.Exit(fmt.Sprintf("--roles: %q is unknown\nhint: api, gateway and orchestrator, with commas between them", role), 2)
		}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	p := process{cli: c, log: log, roles: roles, meters: newMeters()}
	if err := p.open(ctx); err != nil {
		return err
	}
	defer p.db.Close()
	defer p.temporal.Close()
	return p.serve(ctx)
}

// process is one running server.
type process struct {
	cli      *cli.Context
	log      *slog.Logger
	roles    []string
	db       *store.DB
	disk     *files.Disk
	temporal client.Client
	tls      *tls.Config // of API and gateway; nil: plain text
	gateway  *gateway.Gateway
	meters   *meters
}

func (p *process) does(role string) bool { return slices.Contains(p.roles, role) }

func (p *process) open(ctx context.Context) (err error) {
	if p.disk, err = files.Open(p.cli.String("files")); err != nil {
		return err
	}
	if cert := p.cli.String("tls-cert"); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, p.cli.String("tls-key"))
		if err != nil {
			return fmt.Errorf("reading the server's certificate: %w", err)
		}
		p.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if err = p.openDatabase(ctx); err != nil {
		return err
	}
	if err = p.openTemporal(); err != nil {
		p.db.Close()
		return err
	}
	return nil
}

// databaseWait is how long a server that starts waits for PostgreSQL.
const databaseWait = 2 * time.Minute

func (p *process) openDatabase(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	told := false
	for {
		p.db, err = store.Open(ctx, p.cli.String("database"), p.cli.String("installation"))
		if err == nil {
			p.db.KnownAs(knownAs(p.cli.String("fqdn"), p.cli.String("public-url")))
		}
		if err == nil || !away(err) || ctx.Err() != nil {
			return err
		}
		if !told {
			p.log.Warn("waiting for the database", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// openTemporal connects lazily: the API answers while Temporal is away.
func (p *process) openTemporal() error {
	options := client.Options{HostPort: p.cli.String("temporal"), Namespace: p.cli.String("temporal-namespace"), Identity: "debusine-server",
		Logger: sdklog.NewStructuredLogger(slog.New(quieter{p.log.Handler()}))}
	config, err := temporalTLS(p.cli.String("temporal-tls-ca"), p.cli.String("temporal-tls-cert"), p.cli.String("temporal-tls-key"))
	if err != nil {
		return err
	}
	options.ConnectionOptions.TLS, options.MetricsHandler = config, newSDKMeters(p.meters.registry)
	if p.temporal, err = client.NewLazyClient(options); err != nil {
		return fmt.Errorf("preparing the connection to Temporal: %w", err)
	}
	return nil
}

func temporalTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("reading Temporal's authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate for Temporal: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// quieter lowers the SDK's own chatter by one level.
type quieter struct{ slog.Handler }

// Enabled asks for a level more.
func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level-4)
}

// serve runs the roles until ctx ends or one of them fails.
func (p *process) serve(ctx context.Context) error {
	sealer, err := gateway.NewSealer(p.db.SealKey(), p.db.Installation())
	if err != nil {
		return err
	}
	engine, err := p.engine(sealer)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var parts sync.WaitGroup
	part := func(what string, run func(context.Context) error) {
		parts.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	if p.does(roleGateway) {
		p.gateway, err = gateway.New(gateway.Options{DB: p.db, Temporal: p.temporal.WorkflowService(), Namespace: p.cli.String("temporal-namespace"),
			Installation: p.db.Installation(), Listen: p.cli.String("gateway-listen"), TLS: p.tls, Log: p.log})
		if err != nil {
			return err
		}
		p.meters.watchGateway(p.gateway.Stats)
		part("serving workers", p.gateway.Serve)
	}
	if p.does(roleOrchestrator) {
		part("orchestrating", func(ctx context.Context) error { engine.Run(ctx); return nil })
		part("tidying", p.tidy)
		sender, err := p.mail(ctx)
		if err != nil {
			fail(nil)
			parts.Wait()
			return err
		}
		if sender != nil {
			part("sending mail", func(ctx context.Context) error { sender.Run(ctx); return nil })
		}
	}
	if p.does(roleAPI) {
		listener, err := net.Listen("tcp", p.cli.String("listen"))
		if err != nil {
			fail(nil)
			parts.Wait()
			return fmt.Errorf("opening the API's address: %w", err)
		}
		part("serving the API", func(ctx context.Context) error { return p.serveAPI(ctx, listener, engine) })
	}
	if address := p.cli.String("metrics-listen"); address != "" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			fail(nil)
			parts.Wait()
			return fmt.Errorf("opening the metrics' address: %w", err)
		}
		p.meters.watchDatabase(p.db, p.log)
		part("serving metrics", func(ctx context.Context) error { return p.meters.serve(ctx, listener) })
	}
	p.log.Info("server runs", "installation", p.db.Installation(), "roles", strings.Join(p.roles, ","), "listen", p.cli.String("listen"))
	<-ctx.Done()
	parts.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	p.log.Info("server stopped")
	return nil
}

// engine drives work requests, and can do the server's own.
func (p *process) engine(sealer *gateway.Sealer) (*orchestrator.Orchestrator, error) {
	engine := orchestrator.New(p.db, p.temporal, p.cli.String("temporal-namespace"), seals{sealer}, p.log)
	uploads, err := p.uploads()
	if err != nil {
		return nil, err
	}
	engine.Offer("packageupload", uploads.Do)
	engine.Targets(uploads.Targets.Check)
	return engine, nil
}

// mail makes the sender of notifications; nil when there is no mail server.
func (p *process) mail(ctx context.Context) (*post.Sender, error) {
	o := post.Options{Server: p.cli.String("smtp"), Protection: p.cli.String("smtp-tls")}
	if o.Server == "" {
		waiting, err := p.db.WaitingMails(ctx)
		p.log.Info("mail is off: notifications wait in the database until a server is started with --smtp HOST:PORT", "waiting", waiting)
		return nil, err
	}
	if file := p.cli.String("smtp-auth-file"); file != "" {
		var err error
		if o.User, o.Password, err = post.Credentials(file); err != nil {
			return nil, err
		}
	}
	sender, err := post.New(p.db, o, p.log)
	if err == nil {
		p.log.Info("mail is on", "server", o.Server)
	}
	return sender, err
}

// seals opens sealed task tokens for the worker that they were sealed for.
type seals struct{ *gateway.Sealer }

// Open refuses what is not that worker's.
func (s seals) Open(worker int64, sealed []byte) (store.Delivery, error) {
	d, err := s.Sealer.Open(sealed)
	if err == nil && d.Worker != worker {
		err = debusine.Forbiddenf("the task was given to another worker")
	}
	return d, err
}

// stopWithin is how long requests under way have to end.
const stopWithin = 10 * time.Second

func (p *process) serveAPI(ctx context.Context, listener net.Listener, engine engine) error {
	options := Options{Version: Version, Signers: p.cli.StringSlice("signers"), PublicURL: p.cli.String("public-url"), UIURL: p.cli.String("ui-url"),
		Namespace: p.cli.String("temporal-namespace"), Gateway: p.cli.String("gateway-address"), GatewayTLS: p.tls != nil, meters: p.meters}
	if options.Gateway == "" && p.gateway != nil {
		options.Gateway = p.gateway.Addr().String()
	}
	web := New(p.db, p.disk, engine, options, p.log).HTTPServer()
	ended := make(chan error, 1)
	go func() {
		if p.tls != nil {
			web.TLSConfig = p.tls
			ended <- web.ServeTLS(listener, "", "")
			return
		}
		ended <- web.Serve(listener)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := web.Shutdown(patience); err != nil {
		p.log.Warn("requests were cut off at the stop", "error", err)
		return web.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// leftovers are uploads and artifacts that nobody finished within this time.
const leftovers = 24 * time.Hour

// tidy removes leftovers, and what nothing keeps any more, once an hour.
func (p *process) tidy(ctx context.Context) error {
	for {
		uploads, err := p.disk.Sweep(leftovers)
		artifacts, err2 := p.db.SweepArtifacts(ctx, leftovers)
		logs, err3 := p.db.SweepLogs(ctx)
		gone, err4 := collectGarbage(ctx, p.db, p.disk, leftovers, true)
		if err := errors.Join(err, err2, err3, err4); err != nil && ctx.Err() == nil {
			p.log.Warn("removing leftovers failed; trying again in an hour", "error", err)
		}
		if uploads+int(artifacts+logs) > 0 || gone != (garbage{}) {
			p.log.Info("removed leftovers", "uploads", uploads, "artifacts", artifacts, "live_logs", logs, "expired", gone.artifacts, "items", gone.items, "files", gone.contents, "bytes", gone.bytes)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}
