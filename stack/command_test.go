package stack

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is `debusine standalone` of this checkout, as a process.
type program struct {
	cmd   *exec.Cmd
	ready string
	said  *strings.Builder
}

func buildProgram(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the whole stack")
	}
	binary := filepath.Join(string(newFolder(t)), "debusine")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "debusine/cmd/debusine").CombinedOutput()
	if err != nil {
		t.Fatalf("building debusine: %v\n%s", err, out)
	}
	return binary
}

// launch starts it in a process group of its own and waits for its line.
func launch(t *testing.T, binary, state string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(binary, "standalone", "--state", state, "--port-base", "0"), said: &strings.Builder{}}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = p.said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	late := time.AfterFunc(3*time.Minute, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		t.Fatalf("no ready line: %v\n%s", err, p.said)
	}
	p.ready = line
	return p
}

var readyLine = regexp.MustCompile(`^ready api=(http://127\.0\.0\.1:\d+) gateway=127\.0\.0\.1:\d+ ui=http://127\.0\.0\.1:\d+ config=(\S+)\n$`)

func TestStandalone(t *testing.T) {
	binary := buildProgram(t)
	state := newFolder(t)
	p := launch(t, binary, string(state))
	attached, err := Attach(string(state))
	if err != nil {
		t.Fatal(err)
	}
	config := clientConfigWorks(t, p.ready)

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, name := range attached.Parts() {
		if rank(name) < rank(nameServer) {
			continue // TestKilledPartsComeBack
		}
		if err := attached.Kill(name); err != nil {
			t.Fatal(err)
		}
		if err := attached.Await(ctx, name); err != nil {
			t.Fatal(err)
		}
	}

	p.cmd.Process.Kill()
	p.cmd.Wait()
	p = launch(t, binary, string(state))
	if again := clientConfigWorks(t, p.ready); again["token"] != config["token"] {
		t.Error("a restart made another token")
	}

	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, p.said)
	}
	if left := marked(state); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(state.path("run", "*")); len(left) > 0 {
		t.Errorf("left in run: %v", left)
	}
}

// clientConfigWorks asks the API that the configuration names, with its token, who
// the user is, and answers the configuration's values.
func clientConfigWorks(t *testing.T, ready string) map[string]string {
	t.Helper()
	found := readyLine.FindStringSubmatch(ready)
	if found == nil {
		t.Fatalf("the ready line is %q", ready)
	}
	info, err := os.Stat(found[2])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the client's configuration: %v, %v", info, err)
	}
	data, err := os.ReadFile(found[2])
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if values["api-url"] != found[1]+"/api" || values["default-server"] != "local" || values["scope"] != "debusine" {
		t.Errorf("the configuration holds %v", values)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, values["api-url"]+"/1.0/whoami/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Token", values["token"])
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the token is answered %s", answer.Status)
	}
	return values
}

func TestStandaloneRefusesInOneSentence(t *testing.T) {
	binary := buildProgram(t)
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a folder that cannot be reached":     {[]string{"--state", filepath.Join(closed, "s")}, "not searchable"},
		"ports that do not exist":             {[]string{"--state", string(newFolder(t)), "--port-base", "70000"}, "--port-base"},
		"a mirror that is none":               {[]string{"--state", string(newFolder(t)), "--mirror", "here"}, "not the URL of a mirror"},
		"an argument":                         {[]string{"now"}, "takes no argument"},
		"half of a stack that does not exist": {[]string{"--only", "everything"}, "--only knows"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, append([]string{"standalone"}, c.args...)...)
			said, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(said), c.want) || strings.Count(string(said), "\n") > 2 {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

// The first request ends the start; nothing may stay behind.
func TestASignalDuringTheStartLeavesNothing(t *testing.T) {
	binary := buildProgram(t)
	state := newFolder(t)
	cmd := exec.Command(binary, "standalone", "--only", "infrastructure", "--state", string(state), "--port-base", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said := &strings.Builder{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	eventually(t, "PostgreSQL runs", func() bool { _, err := os.Stat(state.path("run", "postgresql.pid")); return err == nil })
	cmd.Process.Signal(syscall.SIGINT)
	err := cmd.Wait()
	if err == nil || !strings.Contains(said.String(), "stopped before everything was up") {
		t.Errorf("it ended with %v: %s", err, said)
	}
	if left := marked(state); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStopOther(t *testing.T) {
	if did, err := stopOther("/nonexistent/state"); err != nil || !strings.Contains(did, "nothing runs") {
		t.Errorf("no folder: %q, %v", did, err)
	}
	f := newFolder(t)
	if did, err := stopOther(string(f)); err != nil || !strings.Contains(did, "nothing runs") {
		t.Errorf("an empty folder: %q, %v", did, err)
	}
}
