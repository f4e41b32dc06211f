package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/files"
	"debusine/store/storetest"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// started runs debusine server and gives its address, and what it came to.
func started(t *testing.T, ctx context.Context, dsn string, args ...string) (address string, ended chan error) {
	t.Helper()
	address, ended = freeAddress(t), make(chan error, 1)
	app := &cli.App{Name: "debusine", Commands: []*cli.Command{Command()}, Writer: io.Discard, ExitErrHandler: func(*cli.Context, error) {}}
	all := append([]string{"debusine", "server", "--database", dsn, "--files", t.TempDir(), "--listen", address, "--gateway-listen", freeAddress(t),
		"--temporal", freeAddress(t), "--log-level", "error"}, args...)
	go func() { ended <- app.RunContext(ctx, all) }()
	return address, ended
}

func TestAServerAnswersWhileTemporalIsAway(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	dsn := storetest.DSN(t)
	address, ended := started(t, ctx, dsn)
	status := waitFor(t, "http://"+address+"/api/1.0/service-status/", ended)
	if status.Version != Version || status.Workers != 0 {
		t.Errorf("%+v", status)
	}
	if _, err := admin(dsn, "user", "create", "first"); err != nil {
		t.Fatal(err)
	}
	token, err := admin(dsn, "token", "create", "--user", "first")
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", "http://"+address+"/api/1.0/work-request/", strings.NewReader(`{"task_name": "noop"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Token", strings.TrimSpace(token))
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("a work request was not acknowledged: %v %v", answer, err)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server does not stop")
	}
}

func waitFor(t *testing.T, url string, ended chan error) (s api.ServiceStatus) {
	t.Helper()
	for range 300 {
		if answer, err := http.Get(url); err == nil {
			defer answer.Body.Close()
			if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("the server does not answer")
	return s
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	dsn := storetest.DSN(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"an unknown role", []string{"--roles", "api,king"}, `"king" is unknown`},
		{"an unknown level", []string{"--log-level", "loud"}, "--log-level"},
		{"no folder for files", []string{"--files", file}, "opening the file store"},
		{"no certificate", []string{"--tls-cert", file, "--tls-key", file}, "reading the server's certificate"},
		{"no authority", []string{"--temporal-tls-ca", file}, "holds no certificate"},
		{"no such authority", []string{"--temporal-tls-ca", "/nowhere"}, "reading Temporal's authority"},
		{"the address is taken", []string{"--roles", "api", "--listen", taken.Addr().String()}, "opening the API's address"},
		{"the gateway's address is taken", []string{"--roles", "gateway", "--gateway-listen", taken.Addr().String()}, "opening the worker gateway"},
		{"a name that is none", []string{"--installation", "No Name"}, "naming the installation"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			database := dsn
			if c.name == "a name that is none" {
				database = storetest.DSN(t)
			}
			_, ended := started(t, t.Context(), database, c.args...)
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, wanted %q", err, c.want)
				}
			case <-time.After(20 * time.Second):
				t.Error("it started")
			}
		})
	}
}

func TestAFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a small file system")
	}
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	small, err := files.Open(dir)
	w.ok(err)
	*w.disk = *small
	large, fits := strings.Repeat("x", 6<<20), "fits"
	address := w.announce("large", large)
	if a := w.want(507, w.maker, "PUT", address, large, nil); a.problem().Hint == "" {
		t.Errorf("%s", a.body)
	}
	if a := w.want(206, w.maker, "PUT", address, nil, nil, "Content-Range", fmt.Sprintf("bytes */%d", len(large))); a.header.Get("Range") != "bytes=0-0" {
		t.Errorf("%v", a.header)
	}
	left, err := os.ReadDir(filepath.Join(dir, "partial"))
	if err != nil || len(left) != 0 {
		t.Error("left:", left, err)
	}
	w.want(201, w.maker, "PUT", w.announce("fits", fits), fits, nil)
}

func TestSteadyWritingUsesTheFileItself(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("0123456789"), 1_000_000) // more than two steps
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{0, 1, sendStep, sendStep + 1, int64(len(content)), int64(len(content)) + 5} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		recorder := newRecorder()
		n, err := newSteadily(recorder).ReadFrom(io.LimitReader(f, limit))
		want := content[:min(limit, int64(len(content)))]
		if err != nil || n != int64(len(want)) || !bytes.Equal(recorder.Body.Bytes(), want) {
			t.Errorf("limit %d: %d bytes, %v", limit, n, err)
		}
		f.Close()
	}
	recorder := newRecorder()
	if n, err := newSteadily(recorder).ReadFrom(bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Error(n, err)
	}
}
