package stack

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newOurs is a stack whose program is a shell script that notes how it was called.
func newOurs(t *testing.T, script string) (*Stack, func() string) {
	t.Helper()
	f := newFolder(t)
	calls := f.path("calls")
	program := f.path("debusine")
	text := fmt.Sprintf("#!/bin/sh\nshift 3 # admin --database DSN\necho \"$*\" >>%s\n%s\n", calls, script)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &Stack{folder: f, ports: ports{Base: 7800}, log: slog.New(slog.DiscardHandler), options: Options{Program: program}}
	return s, func() string {
		data, _ := os.ReadFile(calls)
		return strings.TrimSpace(string(data))
	}
}

func TestTheClientsTokenIsMadeOnce(t *testing.T) {
	t.Setenv("SUDO_USER", "")
	s, calls := newOurs(t, `case "$1" in token) echo "made for someone"; echo secret-word;; esac`)
	for range 2 {
		if err := s.writeClientConfig(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	who := userName()
	if want := "user create " + who + "\ntoken create --user " + who; calls() != want {
		t.Errorf("the calls were %q, want %q", calls(), want)
	}
	data, err := os.ReadFile(s.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[General]\ndefault-server = local\n", "[server:local]\napi-url = http://127.0.0.1:7800/api\nscope = debusine\ntoken = secret-word\n"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q lacks %q", data, want)
		}
	}
	if info, err := os.Stat(s.ClientConfig()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration: %v, %v", info, err)
	}
}

func TestAUserWhoExistsIsNoObstacle(t *testing.T) {
	s, _ := newOurs(t, `case "$1" in user) echo "there is one" >&2; exit 1;; token) echo word;; esac`)
	if err := s.writeClientConfig(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatAdminSaysIsPassedOn(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"it fails":             {"echo 'no such table' >&2; exit 3", "no such table"},
		"it prints nothing":    {"exit 0", "printed no token"},
		"it prints a sentence": {"echo 'the token is x'", "printed no token"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newOurs(t, c.script)
			err := s.writeClientConfig(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
			if _, err := os.Stat(s.folder.path("pki", "user.token")); err == nil {
				t.Error("a token was kept")
			}
			if _, err := os.Stat(s.ClientConfig()); err == nil {
				t.Error("a configuration was written")
			}
		})
	}
}

func TestAWorkerIsMadeOnceAndStartedWithItsToken(t *testing.T) {
	s, calls := newOurs(t, "echo worker-word")
	var words []string
	for range 2 {
		p, err := s.workerPart(t.Context(), "arm64")
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := p.command()
		if err != nil {
			t.Fatal(err)
		}
		words = cmd.Args[1:]
		if p.name != "worker-arm64" {
			t.Errorf("the part is %s", p.name)
		}
	}
	if want := "worker create --enable --arch arm64 standalone-arm64"; calls() != want {
		t.Errorf("the calls were %q, want %q", calls(), want)
	}
	state := s.folder.path("worker", "standalone-arm64")
	want := "worker --api-url http://127.0.0.1:7800/api --token-file " + s.folder.path("pki", "standalone-arm64.token") +
		" --name standalone-arm64 --arch arm64 --state " + state + " --concurrency 1"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("it is started as %q, want %q", got, want)
	}
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its folder: %v, %v", info, err)
	}
	if info, err := os.Stat(s.folder.path("pki", "standalone-arm64.token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its token: %v, %v", info, err)
	}
}

func TestTheServersCommandHoldsNoSecret(t *testing.T) {
	s, _ := newOurs(t, "")
	words, err := s.folder.passwords()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := s.serverPart("abcd1234").command()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(cmd.Args, " ")
	for role, word := range words {
		if strings.Contains(line, word) {
			t.Errorf("the password of %s can be read by everybody in the list of processes", role)
		}
	}
	for _, want := range []string{"--temporal 127.0.0.1:7803", "--listen 127.0.0.1:7800", "--gateway-listen 127.0.0.1:7801", "--ui-url http://127.0.0.1:7802",
		"--installation abcd1234", "--temporal-tls-key " + s.folder.path("pki", "client.key")} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

func TestTheServerUploadsWhereItsAdministratorSays(t *testing.T) {
	s, _ := newOurs(t, "")
	line := func() string {
		cmd, err := s.serverPart("abcd1234").command()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(cmd.Args, " ")
	}
	write := func(name, text string) {
		if err := os.WriteFile(s.folder.path("upload", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ssh.key", "secret")
	if got := line(); strings.Contains(got, "--upload") {
		t.Errorf("without targets: %s", got)
	}
	write("targets", "sftp://me@a.example/queue\ndebusine/System=ftp://b.example/queue\n")
	for _, want := range []string{"--upload-targets sftp://me@a.example/queue,debusine/System=ftp://b.example/queue", "--upload-ssh-key " + s.folder.path("upload", "ssh.key")} {
		if got := line(); !strings.Contains(got, want) || strings.Contains(got, "netrc") {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestTheMirrorIsKeptWhileItIsNamed(t *testing.T) {
	s, _ := newOurs(t, "")
	for _, c := range []struct{ mirror, kept, err string }{
		{"http://mirror.example/debian", "http://mirror.example/debian", ""},
		{"", "", ""},
		{"", "", ""},
		{"mirror.example", "", "not the URL of a mirror"},
		{"ftp://mirror.example/", "", "not the URL of a mirror"},
		{"http://\n", "", "not the URL of a mirror"},
	} {
		s.options.Mirror = c.mirror
		err := s.keepMirror()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v", c.mirror, err)
		}
		kept, _ := os.ReadFile(s.folder.path("mirror"))
		if strings.TrimSpace(string(kept)) != c.kept {
			t.Errorf("%q: the file holds %q", c.mirror, kept)
		}
	}
}

func TestUserNameIsThePersonBehindSudo(t *testing.T) {
	t.Setenv("SUDO_USER", "anna")
	want := "anna"
	if os.Geteuid() != 0 {
		t.Setenv("SUDO_USER", "")
		want = userName()
	}
	if got := userName(); got != want {
		t.Errorf("the name is %q", got)
	}
}

func TestConfigurationIsFilledInForItsOwnerAlone(t *testing.T) {
	f := newFolder(t)
	home, ok := checkout()
	if !ok {
		t.Fatal("the checkout is not found from the test's folder")
	}
	tl := &temporal{folder: f, ports: ports{Base: 9000}, tools: tools{config: filepath.Join(home, "temporal-config")}, password: `quo"te\d`}
	if err := tl.configure(); err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		"temporal/server.yaml":    {"grpcPort: 9003", "membershipPort: 9004", "grpcPort: 9009", `password: "quo\"te\\d"`, "requireClientAuth: true", `host: "` + f.path("pg") + `"`},
		"temporal/dynamic.yaml":   {"matching.enableFairness:", "system.enableRingpopTLS:", "value: 50ms"},
		"ui/config/debusine.yaml": {"port: 9002", "host: 127.0.0.1", "disableWriteActions: true", `temporalGrpcAddress: "127.0.0.1:9003"`},
	} {
		data, err := os.ReadFile(f.path(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s lacks %q", file, want)
			}
		}
		if strings.Contains(string(data), "{{") {
			t.Errorf("%s holds a piece of its template", file)
		}
		if info, err := os.Stat(f.path(file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

func TestSearchAttributes(t *testing.T) {
	home, _ := checkout()
	kinds, err := searchAttributes(filepath.Join(home, "temporal-config"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Scope": "Keyword", "Architecture": "KeywordList", "WorkRequest": "Int", "Suite": "Keyword"} {
		if got := kinds[name].String(); got != want {
			t.Errorf("%s is of type %s, want %s", name, got, want)
		}
	}
	for name, text := range map[string]string{"an unknown type": "Scope: Word\n", "not a map": "- Scope\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "search-attributes.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := searchAttributes(dir); err == nil {
			t.Errorf("taken: %s", name)
		}
	}
	if _, err := searchAttributes(t.TempDir()); err == nil {
		t.Error("taken: no file")
	}
}

func TestProgramsAreFoundBesideUsFirst(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := os.WriteFile(filepath.Join(dir, "temporal-x"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := findProgram("temporal-x", []string{first, second}); filepath.Dir(got) != first {
		t.Errorf("found %s", got)
	}
	if err := os.Chmod(filepath.Join(first, "temporal-x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := findProgram("temporal-x", []string{first, second}); filepath.Dir(got) != second {
		t.Errorf("found %s", got)
	}
	if got := findProgram("temporal-nowhere", []string{first}); got != "" {
		t.Errorf("found %s", got)
	}
}

func TestConnectionStringsSurviveOddFolders(t *testing.T) {
	got := folder("/tmp/it's a\\b").dsn(roleOurs, databaseOurs)
	want := `host='/tmp/it\'s a\\b/pg' user=debusine dbname='debusine' passfile='/tmp/it\'s a\\b/pki/pgpass' sslmode=disable`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
