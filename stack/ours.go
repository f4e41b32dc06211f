package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"
)

// startOurs starts the server, gives the user a token and the workers theirs, and
// starts the signing worker and one for each of the architectures.
func (s *Stack) startOurs(ctx context.Context, architectures <-chan []string) error {
	installation, err := s.folder.keep("installation", func() (string, error) { return secret(5) })
	if err != nil {
		return err
	}
	// For `debusine admin --state DIR`.
	if err := writeFile(s.folder.path("server.dsn"), []byte(s.DSN()+"\n"), 0o644); err != nil {
		return err
	}
	if err := s.bringUp(ctx, s.serverPart(installation)); err != nil {
		return err
	}
	if err := s.writeClientConfig(ctx); err != nil {
		return err
	}
	var workers []*part
	if !s.options.NoSigning {
		signing, err := s.signingPart(ctx)
		if err != nil {
			return err
		}
		workers = append(workers, signing)
	}
	for _, arch := range s.buildsFor(architectures) {
		worker, err := s.workerPart(ctx, arch)
		if err != nil {
			return err
		}
		workers = append(workers, worker)
	}
	return s.bringUp(ctx, workers...)
}

// buildsFor are the architectures that get a worker.
func (s *Stack) buildsFor(native <-chan []string) []string {
	if s.options.NoWorker {
		return nil
	}
	return <-native
}

// keepMirror writes down which mirror the user named, if one.
func (s *Stack) keepMirror() error {
	file := s.folder.path("mirror")
	if s.options.Mirror == "" {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the mirror: %w", err)
		}
		return nil
	}
	u, err := url.Parse(s.options.Mirror)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not the URL of a mirror; hint: --mirror http://HOST/debian", s.options.Mirror)
	}
	return writeFile(file, []byte(s.options.Mirror+"\n"), 0o644)
}

func (s *Stack) serverPart(installation string) *part {
	ca, cert, key := s.TemporalFiles()
	return &part{name: nameServer, patience: 20 * time.Second, ready: s.serverReady, command: func() (*exec.Cmd, error) {
		return s.program(context.Background(), append([]string{"server", "--database", s.DSN(),
			"--temporal", s.TemporalAddress(), "--temporal-namespace", Namespace,
			"--temporal-tls-ca", ca, "--temporal-tls-cert", cert, "--temporal-tls-key", key,
			"--listen", s.ports.address(portAPI), "--gateway-listen", s.Gateway(),
			"--metrics-listen", s.ports.address(portMetrics), "--files", s.folder.path("files"), "--installation", installation, "--signers", s.folder.path("signers"),
			"--ui-url", s.UI(), "--public-url", s.API(), "--log-level", "info"}, s.folder.uploadFlags()...)...)
	}}
}

// uploadFlags let the server upload to archives, as far as the administrator has
// put files into upload/: targets (one on a line), and what belongs to them.
func (f folder) uploadFlags() (flags []string) {
	targets, err := os.ReadFile(f.path("upload", "targets"))
	list := strings.Join(strings.Fields(string(targets)), ",")
	if err != nil || list == "" {
		return nil
	}
	flags = []string{"--upload-targets", list}
	for file, flag := range map[string]string{"ssh.key": "--upload-ssh-key", "known_hosts": "--upload-known-hosts", "netrc": "--upload-netrc", "ftp-ca.pem": "--upload-ftp-ca", "keyring": "--upload-keyring"} {
		if _, err := os.Stat(f.path("upload", file)); err == nil {
			flags = append(flags, flag, f.path("upload", file))
		}
	}
	return flags
}

func (s *Stack) serverReady(ctx context.Context) error {
	return answers(ctx, s.API()+"/api/1.0/service-status/")
}

// admin runs `debusine admin` on our database and answers its standard output.
func (s *Stack) admin(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	cmd, err := s.program(ctx, append([]string{"admin", "--database", s.DSN()}, args...)...)
	if err != nil {
		return "", err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("debusine admin %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// adminSecret is for commands that print a token, alone on their last line.
func (s *Stack) adminSecret(ctx context.Context, args ...string) (string, error) {
	out, err := s.admin(ctx, args...)
	if err != nil {
		return "", err
	}
	word := out[strings.LastIndexByte(out, '\n')+1:]
	if word == "" || strings.ContainsAny(word, " \t") {
		return "", fmt.Errorf("debusine admin %s printed no token", strings.Join(args, " "))
	}
	return word, nil
}

// writeClientConfig makes the user and the token once; later starts keep the
// token and only bring the address up to date.
func (s *Stack) writeClientConfig(ctx context.Context) error {
	token, err := s.folder.keep("pki/user.token", func() (string, error) {
		name := userName()
		// The user may be there from a start that was interrupted; then the token tells.
		_, missing := s.admin(ctx, "user", "create", name)
		token, err := s.adminSecret(ctx, "token", "create", "--user", name)
		if err != nil {
			return "", errors.Join(missing, err)
		}
		return token, nil
	})
	if err != nil {
		return fmt.Errorf("making the client's token: %w", err)
	}
	text := "# Written by debusine standalone at each start.\n[General]\ndefault-server = local\n\n" +
		"[server:local]\napi-url = " + s.API() + "/api\nscope = debusine\ntoken = " + token + "\n"
	return writeFile(s.ClientConfig(), []byte(text), 0o600)
}

// userName is the name of the person who started the stack.
func userName() string {
	if name := os.Getenv("SUDO_USER"); name != "" && os.Geteuid() == 0 {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "admin"
}

// workerPart prepares a worker of one architecture that is already approved.
func (s *Stack) workerPart(ctx context.Context, arch string) (*part, error) {
	name := "standalone-" + arch
	tokenFile := "pki/" + name + ".token"
	if _, err := s.folder.keep(tokenFile, func() (string, error) {
		return s.adminSecret(ctx, "worker", "create", "--enable", "--arch", arch, name)
	}); err != nil {
		return nil, fmt.Errorf("making the worker %s: %w", name, err)
	}
	state := s.folder.path("worker", name)
	if err := os.Mkdir(state, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the worker %s: %w", name, err)
	}
	if err := os.Chmod(state, 0o755); err != nil {
		return nil, fmt.Errorf("making the worker %s: %w", name, err)
	}
	p := &part{name: workerPrefix + arch, patience: 60 * time.Second, command: func() (*exec.Cmd, error) {
		return s.program(context.Background(), "worker", "--api-url", s.API()+"/api", "--token-file", s.folder.path(tokenFile),
			"--name", name, "--arch", arch, "--state", state, "--concurrency", "1")
	}}
	p.ready = p.livesASecond
	return p, nil
}

// livesASecond is all that can be asked of a part without a port.
func (p *part) livesASecond(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil || time.Since(p.running.born) < time.Second {
		return errors.New("it does not stay up")
	}
	return nil
}

// knownToDebian are the architectures, official and ports, that may have a worker.
func knownToDebian() []string {
	return []string{"alpha", "amd64", "arm64", "armel", "armhf", "hppa", "i386", "loong64", "m68k", "mips64el",
		"powerpc", "ppc64", "ppc64el", "riscv64", "s390x", "sh4", "sparc64", "x32"}
}

// askNative asks for the native architectures at once: arch-test tries them one by
// one, which takes seconds, while the database and Temporal come up.
func askNative(ctx context.Context) <-chan []string {
	answer := make(chan []string, 1)
	go func() { answer <- nativeArchitectures(ctx) }()
	return answer
}

// nativeArchitectures are those that this machine runs without an emulator.
func nativeArchitectures(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "arch-test", "-n").Output()
	if native := knownArchitectures(string(out)); err == nil && len(native) > 0 {
		return native
	}
	out, err = exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return nil
	}
	return knownArchitectures(string(out))
}

func knownArchitectures(said string) []string {
	var native []string
	for _, arch := range strings.Fields(said) {
		if slices.Contains(knownToDebian(), arch) && !slices.Contains(native, arch) && arch != "x32" {
			native = append(native, arch)
		}
	}
	return native
}
