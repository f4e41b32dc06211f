package executortest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"debusine/executor"
)

// Escape runs attacks on a machine that says it isolates jobs, for real: on a
// job that runs beside, on the machine itself, and on the job that comes next.
// A guest has a kernel, users and files of its own: of it only what leads out is
// asked.
func Escape(t *testing.T, m Runner) {
	if isGuest(m) {
		t.Run("a guest does not reach the machine", func(t *testing.T) { host(t, m, "sh", "-c", attackFromGuest) })
		t.Run("a limit of time ends what hides from it", func(t *testing.T) { hidesFromTime(t, m) })
		return
	}
	t.Run("a job does not reach the job that runs beside it", func(t *testing.T) { neighbour(t, m) })
	t.Run("a job does not reach the machine", func(t *testing.T) { host(t, m, "sh", "-c", attackMachine) })
	t.Run("a job that is root of a user namespace does not reach the machine", func(t *testing.T) {
		if isTestbed(m) {
			t.Skip("it was so before")
		}
		host(t, m, "unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--pid", "--fork", "--net", "sh", "-c", attackMachine)
	})
	t.Run("no process outlives its job, however it hides", func(t *testing.T) { leftProcesses(t, m) })
	t.Run("what a job left is gone, and the next finds nothing of it", func(t *testing.T) { leftFiles(t, m) })
	t.Run("keys that a job left are not the next one's", func(t *testing.T) { leftKeys(t, m) })
	t.Run("descriptors and watches that one job uses up are there for another", func(t *testing.T) { exhaustion(t, m) })
	t.Run("a limit of time ends what hides from it", func(t *testing.T) { hidesFromTime(t, m) })
}

func hidesFromTime(t *testing.T, m Runner) {
	result, _ := Shell(t, m, t.Context(), "trap '' TERM; while :; do :; done", limit(m, 300*time.Millisecond))
	if result.Struck != executor.Time || result.Duration > 15*time.Second+opening(m) {
		t.Errorf("got %+v", result)
	}
}

// judge looks at what an attack says.
func judge(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "ESCAPED") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if !strings.Contains(said, "all tried") {
		t.Errorf("the attack broke: %s", said)
	}
}

func neighbour(t *testing.T, m Runner) {
	ctx, stop := context.WithCancel(t.Context())
	up := make(chan struct{})
	seen := &waiter{for_: "victim is up", then: sync.OnceFunc(func() { close(up) })}
	folder := NewFolder(t, m)
	env := map[string]string{
		"VICTIM_PATH": folder.Path, "VICTIM_PORT": "34567", "VICTIM_SOCKET": "victim" + unusual(), "VICTIM_KEY": unusual()[:6],
	}
	ended := make(chan error, 1)
	go func() {
		c := executor.Command{Argv: []string{"perl", "-e", victim}, Folder: folder, Output: filepath.Join(folder.Path, "log"), Tap: seen,
			Env: map[string]string{"SECRET": "xyzzy"}}
		for name, value := range env {
			c.Env[name] = value
		}
		_, err := m.Run(ctx, c)
		ended <- err
	}()
	select {
	case <-up:
	case err := <-ended:
		said, _ := os.ReadFile(filepath.Join(folder.Path, "log"))
		t.Fatalf("the victim did not come up: %v: %s", err, said)
	}
	env["VICTIM_PIDS"] = strings.Join(processesWith("VICTIM_PORT=34567"), " ")
	if env["VICTIM_PIDS"] == "" {
		t.Error("the victim has no processes")
	}
	folder2 := NewFolder(t, m)
	c := executor.Command{Argv: []string{"perl", "-e", attackNeighbour}, Folder: folder2, Output: filepath.Join(folder2.Path, "log"), Env: env}
	if _, err := m.Run(t.Context(), c); err != nil {
		t.Error(err)
	}
	said, _ := os.ReadFile(c.Output)
	judge(t, string(said))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// processesWith lists the processes that have a variable.
func processesWith(variable string) []string {
	var pids []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && strings.Contains(string(raw), variable) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

func host(t *testing.T, m Runner, argv ...string) {
	judge(t, attack(t, m, argv...))
}

// Attack gives what the attack on the machine says, one line "ESCAPED: …" for
// each thing that it reached.
func Attack(t *testing.T, m Runner) string { return attack(t, m, "sh", "-c", attackMachine) }

// attack runs an attack on the machine with things for it to find.
func attack(t *testing.T, m Runner, argv ...string) string {
	t.Helper()
	tcp := listen(t, "tcp", "127.0.0.1:0")
	name := "executortest" + unusual()
	listen(t, "unix", "@"+name)
	plain := filepath.Join("/tmp", name)
	listen(t, "unix", plain+".socket")
	listen(t, "unix", filepath.Join("/run", name))
	for _, path := range []string{plain + ".socket", filepath.Join("/run", name)} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(plain) })
	folder := NewFolder(t, m)
	bed, _ := m.(Testbed)
	c := executor.Command{Argv: outside(m, argv), Folder: folder, Output: filepath.Join(folder.Path, "log"), Limit: 2*time.Minute + opening(m), Env: map[string]string{
		"HOST_PORT": strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port), "HOST_SOCKET": name, "HOST_FILE": plain, "HOST_UNIX": plain + ".socket",
		"HOST_RUN": filepath.Join("/run", name), "JOBS": filepath.Dir(folder.Path), "WORKER": strconv.Itoa(os.Getpid()),
		"OWN": strings.Join(bed.Own, " "),
	}}
	if _, err := m.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func leftProcesses(t *testing.T, m Runner) {
	sleep := unusual()
	started := time.Now()
	result, said := Shell(t, m, t.Context(), leaveBehind, func(c *executor.Command) { c.Env = map[string]string{"SLEEP": sleep} })
	if !result.Succeeded() || !strings.Contains(said, "started") || time.Since(started) > 20*time.Second {
		t.Errorf("got %+v, %s", result, said)
	}
	if alive(sleep) {
		t.Error("a process is alive")
	}
}

func leftFiles(t *testing.T, m Runner) {
	target := filepath.Join(Dir(t), "target")
	if err := os.WriteFile(target, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	folder, err := m.NewFolder(7)
	if err != nil {
		t.Fatal(err)
	}
	c := executor.Command{Argv: []string{"sh", "-c", leaveFiles}, Folder: folder, Output: filepath.Join(folder.Path, "log"), Env: map[string]string{"TARGET": target}}
	if result, err := m.Run(t.Context(), c); err != nil || !result.Succeeded() {
		said, _ := os.ReadFile(c.Output)
		t.Errorf("got %+v, %v: %s", result, err, said)
	}
	if err := folder.Remove(); err != nil {
		t.Errorf("removing: %v", err)
	}
	if _, err := os.Lstat(folder.Path); err == nil {
		t.Error("the folder is there")
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "mine" {
		t.Errorf("a file outside: %q, %v", text, err)
	}
	_, said := Shell(t, m, t.Context(), `for at in /tmp /var/tmp /dev/shm "$HOME"; do test -L $at/predictable && echo ESCAPED: $at; test -e $at/suid && echo ESCAPED: $at/suid; done; echo all tried`)
	judge(t, said)
	for _, at := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		if _, err := os.Lstat(filepath.Join(at, "predictable")); err == nil {
			t.Errorf("a link is in the machine's %s", at)
		}
	}
}

// leftKeys puts a key in the keyring of the user; whichever user comes next,
// this one too when the first job is over, has an empty one.
func leftKeys(t *testing.T, m Runner) {
	const put = `my ($t, $n, $v) = ("user", "left", "xyzzy"); my $k = syscall(248, $t, $n, $v, 5, -4); print $k > 0 ? "put\n" : "none: $!\n"`
	const get = `my ($t, $n) = ("user", "left"); for my $ring (-3, -4, -5) { print "ESCAPED: ring $ring\n" if syscall(250, 10, $ring, $t, $n, 0) > 0 } print "all tried\n"`
	job := func(script string) string {
		folder, err := m.NewFolder(7)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Remove()
		c := executor.Command{Argv: []string{"perl", "-e", script}, Folder: folder, Output: filepath.Join(folder.Path, "log")}
		if _, err := m.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		said, _ := os.ReadFile(c.Output)
		return string(said)
	}
	if said := job(put); said != "put\n" {
		t.Skipf("keys cannot be put here: %s", said)
	}
	judge(t, job(get))
}

// exhaustion holds all inotify instances and descriptors that a job can get.
func exhaustion(t *testing.T, m Runner) {
	const hold = `my $n = 0; $n++ while syscall(294, 0) >= 0; print "held $n\n"; my @f; while (open(my $f, "<", "/dev/null")) { push @f, $f } $| = 1; print "up\n"; sleep 60`
	ctx, stop := context.WithCancel(t.Context())
	up, ended := make(chan struct{}), make(chan string, 1)
	folder := NewFolder(t, m)
	go func() {
		c := executor.Command{Argv: []string{"perl", "-e", hold}, Folder: folder, Output: filepath.Join(folder.Path, "log"),
			Tap: &waiter{for_: "up\n", then: sync.OnceFunc(func() { close(up) })}}
		_, err := m.Run(ctx, c)
		ended <- fmt.Sprint(err)
	}()
	select {
	case <-up:
	case err := <-ended:
		t.Fatalf("it ended: %s", err)
	case <-time.After(time.Minute):
		t.Error("it did not come up")
	}
	_, said := Shell(t, m, t.Context(), `perl -e 'print syscall(294, 0) >= 0 ? "watches\n" : "none: $!\n"; print open(my $f, "<", "/dev/null") ? "files\n" : "none: $!\n"'`)
	if said != "watches\nfiles\n" {
		t.Errorf("the other job has %s", said)
	}
	stop()
	if err := <-ended; err != "<nil>" {
		t.Error(err)
	}
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil || own.Cur < 100 {
		t.Errorf("the worker's own descriptors: %+v, %v", own, err)
	}
}
