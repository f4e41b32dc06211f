package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
)

// site runs the services of docker-compose.yml as processes of this machine:
// their very command lines and environments, with each container's names and
// folders replaced by ones of this machine.
type site struct {
	*testing.T
	composition
	dir, bin         string
	here             *strings.Replacer
	api, ui, metrics string
}

func newSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Temporal")
	}
	// Not the test's own folder: root's is closed to PostgreSQL's user.
	dir, err := os.MkdirTemp("/var/tmp", "debusine-deployment-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, composition: compose(t), dir: dir, bin: filepath.Join(dir, "bin")}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(s.bin, "debusine"), ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building debusine: %v\n%s", err, said)
	}
	programs, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", s.bin+":"+programs+":"+os.Getenv("PATH"))
	// A loopback address of its own: PostgreSQL's port is fixed.
	base, database := 21000+rand.IntN(10000), fmt.Sprintf("127.%d.%d.%d", 2+rand.IntN(250), rand.IntN(250), 2+rand.IntN(250))
	at := func(distance int) string { return "127.0.0.1:" + strconv.Itoa(base+distance) }
	s.api, s.ui, s.metrics = "http://"+at(20), "http://"+at(-1), "http://"+at(22)+"/metrics"
	s.here = strings.NewReplacer("/deployment/postgresql", dir+"/deployment/postgresql", "host=postgresql", "host="+database, "temporal:7233", at(0),
		"0.0.0.0:8011", at(20), "http://server:8011", "http://"+at(20), "0.0.0.0:8012", at(21), "0.0.0.0:8013", at(22), "server:8012", at(21), "0.0.0.0:8014", at(23), "signing-api:8014", fmt.Sprintf("localhost:%d", base+23),
		"/deployment", dir+"/deployment", "/var/lib/debusine", dir+"/debusine", "=postgresql", "="+database)
	for _, folder := range []string{"deployment", "debusine/files", "debusine/worker"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.database(database)
	return s
}

// command is a service's command line with its environment.
func (s *site) command(name string, words ...string) *exec.Cmd {
	service := s.Services[name]
	if len(words) == 0 {
		words = service.Command
	}
	args := []string{}
	for i, word := range words {
		if i > 0 && words[i-1] == "--postgresql" {
			word = strings.TrimPrefix(s.here.Replace("="+word), "=")
		}
		args = append(args, s.here.Replace(word))
	}
	if args[0] == "debusine" && args[1] == "deployment" {
		args = append(args, "--dir", filepath.Join(s.dir, "deployment"))
	}
	if args[0] == "debusine" && args[1] == "worker" {
		args = append(args, "--state", filepath.Join(s.dir, "debusine", "worker"))
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ()
	for key, value := range service.Environment {
		cmd.Env = append(cmd.Env, key+"="+s.here.Replace(value))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// once runs a service that ends by itself.
func (s *site) once(name string, words ...string) string {
	s.Helper()
	said, err := s.command(name, words...).CombinedOutput()
	if err != nil {
		s.Fatalf("%s %q: %v\n%s", name, words, err, said)
	}
	return string(said)
}

// start runs a service until the test ends.
func (s *site) start(name string, cmd *exec.Cmd) {
	s.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			s.Errorf("%s does not stop", name)
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if s.Failed() {
			text := said.String()
			s.Logf("%s said:\n%s", name, text[max(0, len(text)-2000):])
		}
	})
}

// database makes and starts PostgreSQL as its image would.
func (s *site) database(address string) {
	s.Helper()
	s.once("prepare")
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		s.Fatal("PostgreSQL is missing; hint: make deps")
	}
	service, bin, data := s.Services["postgresql"], found[len(found)-1], filepath.Join(s.dir, "pgdata")
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, program), args...)
		cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = s.owner(data)
		}
		return cmd
	}
	make := append([]string{"-D", data, "-U", service.Environment["POSTGRES_USER"], "--pwfile=" + s.here.Replace(service.Environment["POSTGRES_PASSWORD_FILE"])},
		strings.Fields(service.Environment["POSTGRES_INITDB_ARGS"])...)
	if said, err := run("initdb", make...).CombinedOutput(); err != nil {
		s.Fatalf("initdb: %v\n%s", err, said)
	}
	args := append(slices.Clone(service.Command[1:]), "-D", data, "-c", "listen_addresses="+address, "-c", "unix_socket_directories=")
	// The image lets the network in with a password.
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte("host all all all scram-sha-256\n"), 0o644); err != nil {
		s.Fatal(err)
	}
	s.start("postgresql", run(service.Command[0], args...))
}

// owner is the user that Debian's package made, who gets the folder.
func (s *site) owner(dir string) *syscall.Credential {
	s.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		s.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		s.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *site) await(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("after a minute: not %s", what)
		}
	}
}

func answers(url string) func() bool {
	return func() bool {
		answer, err := http.Get(url)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
}

// measured looks at what Prometheus would get.
func (s *site) measured() {
	s.Helper()
	answer, err := http.Get(s.metrics)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	for _, want := range []string{"work_requests{", `task_name="noop"`, "temporal_request_total{"} {
		if !strings.Contains(string(raw), want) {
			s.Errorf("%s is not among the metrics", want)
		}
	}
}

// signs has the signing worker make a key, on its own network and database.
func (s *site) signs(c *client.Client) {
	s.Helper()
	s.start("signing-api", s.command("signing-api"))
	s.start("signing", s.command("signing")) // it waits for its token
	words := strings.Fields(s.once("server", "debusine", "admin", "worker", "create", "--signing", "--enable", "signer"))
	if err := os.WriteFile(filepath.Join(s.dir, "deployment", "signing", "token"), []byte(words[len(words)-1]), 0o600); err != nil {
		s.Fatal(err)
	}
	made, err := c.CreateWorkRequest(s.Context(), api.WorkRequestCreate{TaskName: "generatekey", TaskData: []byte(`{"purpose": "openpgp", "description": "uploads"}`), Workspace: "System"})
	if err != nil {
		s.Fatal(err)
	}
	s.await("a key that was made", func() bool {
		w, err := c.WorkRequest(s.Context(), made.ID)
		return err == nil && w.Result == "success"
	})
	if said := s.once("signing", "debusine", "admin", "key", "list"); !strings.Contains(said, "uploads") {
		s.Errorf("its own administrator does not see the key: %s", said)
	}
}

// The services in the order of their dependencies: at the end a machine that an
// administrator enabled does a work request.
func TestTheServicesWorkTogether(t *testing.T) {
	s := newSite(t)
	s.once("schema")
	s.start("temporal", s.command("temporal"))
	s.once("namespace")
	s.start("temporal-ui", s.command("temporal-ui"))
	s.start("server", s.command("server"))
	s.start("orchestrator", s.command("orchestrator"))
	s.await("an API that answers", answers(s.api+"/api/1.0/service-status/"))
	s.await("a Web UI that answers", answers(s.ui+"/healthz"))

	s.once("server", "debusine", "admin", "user", "create", "someone")
	words := strings.Fields(s.once("server", "debusine", "admin", "token", "create", "--user", "someone"))
	c := client.New(client.Options{BaseURL: s.api + "/api", Token: words[len(words)-1]})
	s.start("worker-amd64", s.command("worker-amd64"))
	s.await("a machine that registered", func() bool {
		return strings.Contains(s.once("server", "debusine", "admin", "worker", "list"), "amd64")
	})
	s.once("server", "debusine", "admin", "worker", "enable", "amd64")
	made, err := c.CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: "noop", TaskData: []byte("{}"), Workspace: "System"})
	if err != nil {
		t.Fatal(err)
	}
	s.await("a work request that ended well", func() bool {
		w, err := c.WorkRequest(t.Context(), made.ID)
		return err == nil && w.Result == "success" && w.WorkerName == "amd64"
	})
	s.signs(c)
	s.measured()
	// What an upgrade does: the steps again, on what runs.
	for _, step := range []string{"prepare", "schema", "namespace"} {
		s.once(step)
	}
}
