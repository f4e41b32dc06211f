package executor_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/executor"
	"debusine/executor/executortest"
)

func TestContract(t *testing.T) {
	executortest.Contract(t, executortest.Open(t))
}

func TestLimits(t *testing.T) {
	needTime(t)
	m := executortest.Open(t)
	t.Logf("bounded by %s, %+v", m.BoundedBy(), m.Limits())
	executortest.Limits(t, m)
}

// A machine that has no control groups to give must keep the same contract.
func TestLimitsWithoutControlGroups(t *testing.T) {
	needRoot(t)
	needTime(t)
	m := executortest.OpenWith(t, executor.Config{WithoutGroups: true})
	if m.BoundedBy() != executor.ByWatching {
		t.Fatalf("bounded by %s", m.BoundedBy())
	}
	// RLIMIT_NPROC counts by user: what an administrator runs as the first one
	// would be counted with the job that has it.
	executortest.NewFolder(t, m)
	executortest.Limits(t, m)
}

func TestEscape(t *testing.T) {
	needRoot(t)
	needTime(t)
	executortest.Escape(t, executortest.Open(t))
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
}

func needTime(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
}

func TestMachineIsOutOfReach(t *testing.T) {
	needRoot(t)
	m := executortest.Open(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	reached := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
			reached <- struct{}{}
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	script := `use IO::Socket::INET; for my $host ("127.0.0.1", "10.0.2.2") {
		my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => %d, Timeout => 2);
		print "$host ", ($s ? "open" : "closed"), "\n"; }`
	_, said := executortest.Shell(t, m, t.Context(), "id -u; ip -br addr | cut -c1-30; perl -e '"+fmt.Sprintf(script, port)+"'")
	if !strings.Contains(said, "127.0.0.1 closed\n10.0.2.2 closed\n") {
		t.Errorf("the machine's loopback answered: %s", said)
	}
	if !strings.Contains(said, "tap0") {
		t.Errorf("no network at all: %s", said)
	}
	select {
	case <-reached:
		t.Error("a connection arrived")
	default:
	}
}

func TestNameServerAnswers(t *testing.T) {
	needRoot(t)
	host := mirrorHost(t)
	m := executortest.Open(t)
	result, said := executortest.Shell(t, m, t.Context(), "cat /etc/resolv.conf; getent hosts "+host)
	if !strings.HasPrefix(said, "nameserver 10.0.2.3\n") || result.ExitCode != 0 {
		t.Errorf("the mirror %s was not found: %d, %s", host, result.ExitCode, said)
	}
	if held, _ := os.ReadFile("/etc/resolv.conf"); strings.HasPrefix(string(held), "nameserver 10.0.2.3") {
		t.Error("the machine's own resolv.conf has changed")
	}
}

// mirrorHost is the host of the mirror that apt uses here.
func mirrorHost(t *testing.T) string {
	t.Helper()
	said, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages").Output()
	if err != nil || len(said) == 0 {
		t.Skip("apt knows no mirror: run apt-get update")
	}
	first, _, _ := strings.Cut(string(said), "\n")
	_, host, _ := strings.Cut(first, "://")
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

func TestJobsDoNotSeeOneAnother(t *testing.T) {
	needRoot(t)
	m := executortest.Open(t)
	other := executortest.NewFolder(t, m)
	secret := filepath.Join(other.Work, "secret")
	if err := os.WriteFile(secret, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, script, want string }{
		{"the folder of another job", "cat " + secret + " 2>/dev/null || echo hidden", "hidden\n"},
		{"the other job's name", "ls " + filepath.Dir(other.Path) + " 2>/dev/null || echo closed", "closed\n"},
		{"processes of the machine", "ls -d /proc/[0-9]* | wc -l", ""},
		{"the worker's log of the job", "echo x >> ../log || echo refused", ""},
		{"a temporary folder of its own", "ls -A /tmp /var/tmp /dev/shm | grep -c . ; touch /tmp/here /dev/shm/here && echo written", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, said := executortest.Shell(t, m, t.Context(), test.script)
			switch {
			case test.want != "" && said != test.want:
				t.Errorf("got %q", said)
			case strings.Contains(test.script, "/proc/"):
				if count := strings.TrimSpace(said); len(count) != 1 {
					t.Errorf("%s processes are seen", count)
				}
			case strings.Contains(test.script, "refused"):
				if !strings.HasSuffix(said, "refused\n") {
					t.Errorf("got %q", said)
				}
			case strings.Contains(test.script, "written"):
				if !strings.HasSuffix(said, "written\n") {
					t.Errorf("got %q", said)
				}
			}
		})
	}
	if _, err := os.Stat("/tmp/here"); err == nil {
		t.Error("a job's file is in the machine's /tmp")
	}
}

func TestBuildUserCannotTouchTheWorker(t *testing.T) {
	needRoot(t)
	m := executortest.Open(t)
	for _, script := range []string{
		"touch " + m.Dir() + "/x", "cat " + m.Dir() + "/lock", "kill -9 1", "mount -t tmpfs t /mnt", "umount /proc", "touch ../x",
	} {
		if result, said := executortest.Shell(t, m, t.Context(), script); result.ExitCode == 0 {
			t.Errorf("%q was allowed: %s", script, said)
		}
	}
}

func TestSweepAfterTheWorkerWasKilled(t *testing.T) {
	if dir := os.Getenv("EXECUTOR_TEST_WORKER"); dir != "" {
		runUntilKilled(t, dir)
		return
	}
	dir := executortest.Dir(t)
	worker := exec.Command(os.Args[0], "-test.run=^TestSweepAfterTheWorkerWasKilled$", "-test.v")
	worker.Env = append(os.Environ(), "EXECUTOR_TEST_WORKER="+dir)
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(said); lines.Scan() && !strings.Contains(lines.Text(), "job runs"); {
	}
	_ = syscall.Kill(worker.Process.Pid, syscall.SIGKILL)
	_ = worker.Wait()
	if os.Geteuid() == 0 {
		awaitEnd(t, "sleep 86399") // with nobody there to sweep
	}

	executortest.OpenIn(t, dir)
	left, _ := filepath.Glob(filepath.Join(dir, "jobs", "*"))
	if len(left) != 0 {
		t.Errorf("folders are left: %v", left)
	}
	if said, _ := exec.Command("pgrep", "-f", "debusine-job:test-"+filepath.Base(dir)).Output(); len(said) > 0 {
		t.Errorf("processes are left: %s", said)
	}
	if said, _ := exec.Command("pgrep", "-f", "sleep 86399").Output(); len(said) > 0 {
		t.Errorf("the job's daemon is left: %s", said)
	}
}

// awaitEnd waits until no process of the machine has this command line.
func awaitEnd(t *testing.T, command string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		said, _ := exec.Command("pgrep", "-x", "-f", command).Output()
		if len(said) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the job lives on without its worker: %s", said)
		}
	}
}

// runUntilKilled is the worker that will be killed.
func runUntilKilled(t *testing.T, dir string) {
	m := executortest.OpenIn(t, dir)
	executortest.Shell(t, m, t.Context(), "setsid sleep 86399 & echo begun; sleep 86399",
		func(c *executor.Command) { c.Tap = announce{} })
}

type announce struct{}

func (announce) Write(p []byte) (int, error) {
	fmt.Println("job runs")
	return len(p), nil
}

func TestSweepLeavesOthersAlone(t *testing.T) {
	needRoot(t)
	mine, theirs := executortest.Dir(t), executortest.Dir(t)
	var jobs []*exec.Cmd
	for _, dir := range []string{mine, theirs} {
		job := exec.Command("sh", "-c", "sleep 30; :", "debusine-job:test-"+filepath.Base(mine)+":"+dir) // of one name, in two folders
		job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := job.Start(); err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(-job.Process.Pid, syscall.SIGKILL)
		jobs = append(jobs, job)
	}
	go jobs[0].Wait() // reaped, or the sweep would see a zombie
	executortest.OpenIn(t, mine)
	if err := syscall.Kill(jobs[1].Process.Pid, 0); err != nil {
		t.Errorf("another worker's job was killed: %v", err)
	}
	if err := jobs[0].Process.Signal(syscall.Signal(0)); err == nil {
		time.Sleep(100 * time.Millisecond)
		if err := jobs[0].Process.Signal(syscall.Signal(0)); err == nil {
			t.Error("this worker's job is alive")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := executortest.Dir(t)
	executortest.OpenIn(t, dir)
	closed := filepath.Join(executortest.Dir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		config executor.Config
		want   string
	}{
		{"a state folder in use", executor.Config{Dir: dir, Instance: "a"}, "another worker uses the state folder"},
		{"a folder that the build user cannot enter", executor.Config{Dir: filepath.Join(closed, "s"), Instance: "a"}, "chmod o+x " + closed},
		{"an instance that could be another's", executor.Config{Dir: dir, Instance: "a b"}, "is not made of a-z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.InheritNetwork = os.Geteuid() != 0
			_, err := executor.Open(context.Background(), test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStartIsQuick(t *testing.T) {
	m := executortest.Open(t)
	executortest.Shell(t, m, t.Context(), "true")
	start := time.Now()
	const rounds = 5
	for range rounds {
		executortest.Shell(t, m, t.Context(), "true")
	}
	each := time.Since(start) / rounds
	t.Logf("%v for a command in namespaces of its own", each)
	if each > 5*time.Second { // the bench has the floor that matters
		t.Errorf("a command takes %v to start", each)
	}
}
