package executor

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOutputKeepsBeginAndEnd(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	tests := []struct {
		name    string
		limit   int64
		writes  []string
		leftOut int64
		want    func(string) bool
	}{
		{"nothing", 100, nil, 0, func(s string) bool { return s == "" }},
		{"less than the limit", 100, []string{"a\n", "b\n"}, 0, func(s string) bool { return s == "a\nb\n" }},
		{"exactly the limit", 100, []string{line}, 0, func(s string) bool { return s == line }},
		{"a little more: the ring holds it, no mark", 100, []string{line, "more\n"}, 0, func(s string) bool { return s == line+"more\n" }},
		{"one write across the limit", 50, []string{line}, 0, func(s string) bool { return s == line }},
		{"as much as the ring holds", 100, []string{line, strings.Repeat("y", tailSize)}, 0,
			func(s string) bool { return s == line+strings.Repeat("y", tailSize) }},
		{"a byte more than that", 100, []string{line, "z" + strings.Repeat("y", tailSize)}, 1,
			func(s string) bool { return strings.Contains(s, "1 bytes are left out") && !strings.Contains(s, "z") }},
		{"much more, in pieces", 100, []string{line, strings.Repeat("y", 3*tailSize/2), strings.Repeat("y", tailSize), "the end\n"}, int64(3*tailSize/2 + len("the end\n")),
			func(s string) bool { return strings.HasPrefix(s, line) && strings.HasSuffix(s, "yythe end\n") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			var tap bytes.Buffer
			o, err := createOutput(path, test.limit, &tap)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range test.writes {
				if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
			}
			leftOut, err := o.finish()
			text, readErr := os.ReadFile(path)
			if err != nil || readErr != nil || leftOut != test.leftOut || !test.want(string(text)) {
				t.Errorf("left out %d, %v, %d bytes: %.300q", leftOut, err, len(text), text)
			}
			if tap.String() != string(text) {
				t.Errorf("the tap saw %d bytes, the file has %d", tap.Len(), len(text))
			}
		})
	}
}

func TestOutputIsNotWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "log")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := createOutput(link, 0, nil); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the target was made")
	}
}

func TestFullDiskIsTheMachinesError(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := &output{file: full, limit: 1000}
	if n, err := o.Write([]byte("text")); n != 4 || err != nil {
		t.Errorf("the command would be blocked: %d, %v", n, err)
	}
	if _, err := o.finish(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
}

func TestEndOfALogIsKeptThroughAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	o, err := createOutput(filepath.Join(disk, "log"), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Write([]byte("begun\n"))
	filler := filepath.Join(disk, "filler")
	_ = os.WriteFile(filler, make([]byte, 2<<20), 0o644)
	for range 3000 {
		if n, err := o.Write([]byte(strings.Repeat("x", 99) + "\n")); n != 100 || err != nil {
			t.Fatalf("the command would be blocked: %d, %v", n, err)
		}
	}
	if err := os.Remove(filler); err != nil { // as what a job made goes with it
		t.Fatal(err)
	}
	o.Write([]byte("Status: attempted\n"))
	leftOut, err := o.finish()
	if err != nil || leftOut == 0 {
		t.Fatalf("%d bytes left out, %v", leftOut, err)
	}
	text, err := os.ReadFile(filepath.Join(disk, "log"))
	if err != nil || !strings.HasPrefix(string(text), "begun\n") || !strings.HasSuffix(string(text), "x\nStatus: attempted\n") ||
		!strings.Contains(string(text), "[debusine: the disk was full; ") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestSubordinateIDs(t *testing.T) {
	tests := []struct {
		name, file string
		ok         bool
	}{
		{"a range by name", "other:1:5\nbuilder:100000:65536\n", true},
		{"a range by id", "1234:100000:65536\n", true},
		{"a second, larger range", "builder:1:10\nbuilder:100000:65536\n", true},
		{"a range that is too small", "builder:100000:1000\n", false},
		{"another's range", "builders:100000:65536\n", false},
		{"an empty file", "", false},
		{"what is no range", "builder\nbuilder:x:y\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "subuid")
			if err := os.WriteFile(path, []byte(test.file), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := rangeOf(path, "builder", "1234")
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "hint: usermod") {
				t.Errorf("no hint: %v", err)
			}
		})
	}
	if _, err := rangeOf(filepath.Join(t.TempDir(), "none"), "a", "1"); err == nil || !strings.Contains(err.Error(), "uidmap") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestProcessesAreRead(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.Args[0] = "a) (strange name"
	cmd.Env = []string{"DEBUSINE_JOB=debusine-job:x", "TMPDIR=/x"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var found *process
	for _, p := range processes() {
		if p.pid == cmd.Process.Pid {
			found = &p
		}
	}
	if found == nil || found.session != cmd.Process.Pid || found.owner() != os.Geteuid() {
		t.Fatalf("found %+v", found)
	}
	if !found.has("TMPDIR=/x") || found.has("TMPDIR=/") || found.words("cmdline")[0] != "a) (strange name" {
		t.Errorf("%q, %q", found.words("environ"), found.words("cmdline"))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, alive := readProcess(cmd.Process.Pid); alive {
		t.Error("a process that ended is read")
	}
}

func TestDiskUseCountsBlocksAndFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	before := diskUse(dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if used := diskUse(dir) - before; used < 1<<20 || used > 2<<20 {
		t.Errorf("%d bytes", used)
	}
	watch := diskWatch{dir: dir}
	if got := watch.most(); got < 1<<20 {
		t.Errorf("a short command took %d bytes", got)
	}
	if diskUse(filepath.Join(dir, "gone")) != 0 {
		t.Error("a folder that went takes space")
	}
}

func TestThreadIsThrownAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	own := func() string { target, _ := os.Readlink("/proc/thread-self/ns/net"); return target }
	outside := own()
	onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		if unix.Gettid() == unix.Getpid() {
			t.Error("on the main thread")
		}
		if own() == outside {
			t.Error("still outside")
		}
	})
	// Whatever thread a goroutine gets now, it is not one of those.
	seen := make(chan string, 64)
	for range cap(seen) {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			seen <- own()
		}()
	}
	for range cap(seen) {
		if got := <-seen; got != outside {
			t.Errorf("a goroutine is in %s", got)
		}
	}
}

func TestNetworkEndsWithItsPipe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		n, err := startNetwork("/proc/" + strconv.Itoa(unix.Getpid()) + "/task/" + strconv.Itoa(unix.Gettid()) + "/ns/net")
		if err != nil {
			t.Error(err)
			return
		}
		start := time.Now()
		n.stop()
		if took := time.Since(start); took > 900*time.Millisecond {
			t.Errorf("it was killed, after %v", took)
		}
		if err := <-n.lost; !strings.Contains(err.Error(), "slirp4netns") {
			t.Errorf("lost: %v", err)
		}
	})
	if _, err := startNetwork("/proc/1/no-such-namespace"); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("got %v", err)
	}
}

func TestProgramsAreLookedForWhereCommandsRun(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	if path, err := findProgram("sh"); err != nil || !strings.HasSuffix(path, "/sh") {
		t.Errorf("sh: %s, %v", path, err)
	}
	if _, err := findProgram("no-such-program"); err == nil {
		t.Error("a program that is not there was found")
	}
	if path, err := findProgram("/opt/x"); err != nil || path != "/opt/x" {
		t.Errorf("a path: %s, %v", path, err)
	}
}
