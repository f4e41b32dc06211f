// Package signing is the process `debusine signing`: it takes the work of the
// queue that no gateway serves, and does it with the keys of a vault.
//
// It sits in the trusted network: it polls Temporal itself, with a certificate,
// and asks the server over HTTP with a token of its own, as any worker does. It
// has no password of the server's database, and the server none of the vault's.
package signing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"debusine/activities/signing"
	"debusine/client"
	"debusine/sign"
	"debusine/sign/vault"
)

// Command is `debusine signing`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "signing",
		Usage: "run a signing worker: it makes keys and signatures",
		Description: "Keys lie in a PostgreSQL database of its own, encrypted to the service keys of a file; docs/signing.md is the guide.\n" +
			"It polls Temporal directly, so it belongs into the trusted network. SIGTERM stops it; what it has not signed\n" +
			"is done by the next.\n\n" +
			"Example: debusine signing --api-url https://debusine.example.org/api --token-file /etc/debusine/signing.token \\\n" +
			"   --signing-database postgresql:///debusine_signing --service-keys /etc/debusine/service.keys",
		Flags: []cli.Flag{
			flag("api-url", "the server's API at `URL`; plain http for loopback alone", "", true),
			flag("api-tls-ca", "the API's certificate must be of the authority in `FILE` (PEM), instead of one that this machine trusts", "", false),
			flag("token-file", "the token is in `FILE`, which is waited for: debusine admin worker create --signing --enable NAME prints one", "", true),
			flag("signing-database", "keys and audit are in PostgreSQL at `DSN`; not the server's", "", true),
			flag("service-keys", "the keys that protect keys are in `FILE`: debusine admin key service-key makes one", "", true),
			flag("pkcs11-module", "keys in hardware are reached through the library `FILE`", "", false),
			flag("pin-file", "the token's PIN is in `FILE`", "", false),
			flag("signing-trusted-certs", "code may trust the certificates with these `SHA256` sums, separated by commas; code that trusts others is not signed", "", false),
			flag("temporal", "Temporal's frontend at `HOST:PORT`", "127.0.0.1:7233", false),
			flag("temporal-tls-ca", "trust the authority in `FILE` (PEM) for Temporal", "", false),
			flag("temporal-tls-cert", "show Temporal the certificate in `FILE` (PEM)", "", false),
			flag("temporal-tls-key", "the certificate's key is in `FILE` (PEM)", "", false),
			flag("log-level", "debug, info, warn or error", "info", false),
		},
		Action: run,
	}
}

func flag(name, usage, value string, required bool) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage, Value: value, Required: required,
		EnvVars: []string{"DEBUSINE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}}
}

func run(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return cli.Exit("--log-level: "+err.Error()+"\nhint: debug, info, warn or error", 2)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.doer.Vault.Close()
	return s.serve(ctx)
}

// station is one running signing worker.
type station struct {
	home     *client.Client
	doer     *signact.Doer
	temporal string
	tls      *tls.Config
	log      *slog.Logger
}

func open(ctx context.Context, c *cli.Context, log *slog.Logger) (*station, error) {
	if err := checkURL(c.String("api-url")); err != nil {
		return nil, err
	}
	trusted, err := trustedCerts(c.String("signing-trusted-certs"))
	if err != nil {
		return nil, err
	}
	authority, err := authorityIn(c.String("api-tls-ca"))
	if err != nil {
		return nil, fmt.Errorf("reading the API's authority: %w", err)
	}
	config, err := temporalTLS(c)
	if err != nil {
		return nil, err
	}
	signer := sign.Signer{ServiceKeys: absolute(c.String("service-keys")), Module: c.String("pkcs11-module"), PINFile: absolute(c.String("pin-file"))}
	if err := signer.Check(ctx); err != nil {
		return nil, fmt.Errorf("trying the service keys: %w", err)
	}
	v, err := vault.Open(ctx, c.String("signing-database"), signer)
	if err != nil {
		return nil, err
	}
	token, err := awaitToken(ctx, c.String("token-file"), log)
	if err != nil {
		v.Close()
		return nil, err
	}
	home := client.New(client.Options{BaseURL: c.String("api-url"), Token: token, UserAgent: "debusine-signing", Patience: patience, Authority: authority})
	return &station{home: home, doer: &signact.Doer{Vault: v, Log: log, TrustedCerts: trusted}, temporal: c.String("temporal"), tls: config, log: log}, nil
}

// awaitToken waits for the file with the token, which an administrator writes
// when the server is there.
func awaitToken(ctx context.Context, file string, log *slog.Logger) (string, error) {
	for told := false; ; told = true {
		raw, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("reading the signing worker's token: %w", err)
		}
		if token := strings.TrimSpace(string(raw)); token != "" {
			return token, nil
		}
		if !told {
			log.Warn("waiting for the token", "file", file, "hint", "debusine admin worker create --signing --enable NAME prints one")
		}
		if pause(ctx, askAgain); ctx.Err() != nil {
			return "", fmt.Errorf("stopped before there was a token in %s", file)
		}
	}
}

// authorityIn reads the certificates of a PEM file; without one, nil.
func authorityIn(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// checkURL keeps tokens off the wire in plain text.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return cli.Exit(fmt.Sprintf("--api-url: %q is no URL\nhint: https://HOST/api", text), 2)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return cli.Exit("--api-url: a signing worker speaks https, but for loopback\nhint: put the API behind TLS (debusine server --tls-cert)", 2)
}

// trustedCerts reads fingerprints as people write them: colons and case mean
// nothing.
func trustedCerts(text string) (sums []string, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		sum := strings.ToLower(strings.ReplaceAll(word, ":", ""))
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			return nil, cli.Exit(fmt.Sprintf("--signing-trusted-certs: %.100q is no SHA-256\nhint: openssl x509 -in CERTIFICATE -noout -fingerprint -sha256", word), 2)
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

func temporalTLS(c *cli.Context) (*tls.Config, error) {
	ca, cert := c.String("temporal-tls-ca"), c.String("temporal-tls-cert")
	if ca == "" && cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if config.RootCAs, err = authorityIn(ca); err != nil {
		return nil, fmt.Errorf("reading Temporal's authority: %w", err)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, c.String("temporal-tls-key"))
		if err != nil {
			return nil, fmt.Errorf("reading the certificate for Temporal: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
