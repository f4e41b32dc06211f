package workeract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"debusine"
	"debusine/api"
	"debusine/executor/executortest"
	"debusine/task"
)

// newAttempt is one with a folder in which "a build" can leave things.
func newAttempt(t *testing.T) (a *attempt, build string) {
	t.Helper()
	m := executortest.Open(t)
	a = &attempt{Doer: &Doer{machine: m, log: slog.New(slog.DiscardHandler)}, folder: executortest.NewFolder(t, m), debug: map[string]string{}}
	a.job.Limit = time.Minute
	build = filepath.Join(a.folder.Work, "build")
	if err := os.Mkdir(build, 0o755); err != nil {
		t.Fatal(err)
	}
	return a, build
}

// leave writes a file as the build user would.
func leave(t *testing.T, a *attempt, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, a.folder.Owner(), -1); err != nil {
		t.Fatal(err)
	}
}

// changesFor lists files with their real sizes and sums; each line can be bent.
func changesFor(files map[string]string, bend func(string) string) string {
	var sha256s, md5s, sha1s strings.Builder
	for name, text := range files {
		sum := sha256.Sum256([]byte(text))
		fmt.Fprintf(&sha256s, "\n %s %d %s", hex.EncodeToString(sum[:]), len(text), name)
		fmt.Fprintf(&sha1s, "\n %s %d %s", strings.Repeat("0", 40), len(text), name)
		fmt.Fprintf(&md5s, "\n %s %d devel optional %s", strings.Repeat("0", 32), len(text), name)
	}
	text := "Format: 1.8\nDate: Sun, 22 Nov 2026 12:00:00 +0000\nSource: hello\nBinary: hello\nArchitecture: amd64\n" +
		"Version: 1.0-1\nDistribution: unstable\nUrgency: medium\nMaintainer: A <a@b.c>\nDescription:\n hello - x\nChanges:\n x\n" +
		"Checksums-Sha1:" + sha1s.String() + "\nChecksums-Sha256:" + sha256s.String() + "\nFiles:" + md5s.String() + "\n"
	if bend != nil {
		text = bend(text)
	}
	return text
}

// hostileOutput is one way to leave something else than packages.
type hostileOutput struct {
	name string
	make func(t *testing.T, a *attempt, build string)
	want string
}

func hostileOutputs() []hostileOutput {
	const deb = helloDeb
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, new) }
	}
	return []hostileOutput{
		{"what a good build leaves", nil, ""},
		{"no .changes", func(t *testing.T, a *attempt, build string) { os.Remove(filepath.Join(build, "hello.changes")) }, "no .changes"},
		{"two .changes", func(t *testing.T, a *attempt, build string) {
			leave(t, a, filepath.Join(build, "other.changes"), "")
		}, "more than one .changes"},
		{"a link to a file of the machine", func(t *testing.T, a *attempt, build string) {
			os.Remove(filepath.Join(build, deb))
			os.Symlink("/etc/shadow", filepath.Join(build, deb))
		}, "not a plain file"},
		{"a FIFO", func(t *testing.T, a *attempt, build string) {
			os.Remove(filepath.Join(build, deb))
			unix.Mkfifo(filepath.Join(build, deb), 0o666)
		}, "not a plain file"},
		{"a second name of another file", func(t *testing.T, a *attempt, build string) {
			os.Link(filepath.Join(build, deb), filepath.Join(build, "twin"))
		}, "not its own"},
		{"a file of another user", func(t *testing.T, a *attempt, build string) {
			os.Chown(filepath.Join(build, deb), 12345, -1)
		}, "not its own"},
		{"a name that leads outside", func(t *testing.T, a *attempt, build string) {
			leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{deb: "deb"}, replace(deb, "../../"+deb)))
		}, "hello.changes"},
		{"a size that is not the file's", func(t *testing.T, a *attempt, build string) {
			leave(t, a, filepath.Join(build, deb), "longer")
		}, "has 6 bytes, but the .changes says 3"},
		{"a sum that is not the file's", func(t *testing.T, a *attempt, build string) {
			leave(t, a, filepath.Join(build, deb), "DEB")
		}, "SHA-256"},
		{"a file that is not there", func(t *testing.T, a *attempt, build string) {
			os.Remove(filepath.Join(build, deb))
		}, "did not leave"},
		{"packages of another architecture only", func(t *testing.T, a *attempt, build string) {
			other := "hello_1.0-1_i386.deb"
			leave(t, a, filepath.Join(build, other), "deb")
			leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{other: "deb"}, nil))
		}, "no package for amd64"},
		{"a link in the place of the folder", func(t *testing.T, a *attempt, build string) {
			os.Rename(build, build+"-away")
			os.Symlink(build+"-away", build)
		}, "removed the folder"},
		{"too many files", func(t *testing.T, a *attempt, build string) {
			for i := range maxBuilt + 1 {
				os.WriteFile(filepath.Join(build, fmt.Sprint(i)), nil, 0o644)
			}
		}, "more than 2000 files"},
		{"a .changes that is a disk full of zeroes", func(t *testing.T, a *attempt, build string) {
			os.Truncate(filepath.Join(build, "hello.changes"), 1<<40)
		}, "hello.changes"},
	}
}

const helloDeb = "hello_1.0-1_amd64.deb"

func TestHostileOutputIsRefused(t *testing.T) {
	const deb = helloDeb
	for _, test := range hostileOutputs() {
		t.Run(test.name, func(t *testing.T) {
			if os.Geteuid() != 0 && strings.Contains(test.name, "another user") {
				t.Skip("needs root")
			}
			a, build := newAttempt(t)
			leave(t, a, filepath.Join(build, deb), "deb")
			leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{deb: "deb"}, nil))
			if test.make != nil {
				test.make(t, a, build)
			}
			b, err := a.takeBuilt(build, "amd64", true)
			if test.want == "" {
				if err != nil || len(b.debs) != 1 {
					t.Errorf("got %+v, %v", b, err)
				}
				return
			}
			if err == nil || !isUnusable(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPackageThatIsNoneIsTheBuildsFault(t *testing.T) {
	a, build := newAttempt(t)
	leave(t, a, filepath.Join(build, "hello_1.0-1_amd64.deb"), "not an archive")
	leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{"hello_1.0-1_amd64.deb": "not an archive"}, nil))
	b, err := a.takeBuilt(build, "amd64", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.readDebs(t.Context(), b); err == nil || !isUnusable(err) {
		t.Errorf("got %v", err)
	}
}

// downloads serves one file and counts.
type downloads struct {
	Server
	content string
	count   int
	mu      sync.Mutex
}

func (d *downloads) Download(_ context.Context, _ int64, _ string, to *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	_, err := to.WriteString(d.content)
	return err
}

func tarball(id int64, content string) api.Artifact {
	sum := sha256.Sum256([]byte(content))
	return api.Artifact{ID: id, Files: map[string]api.File{"system.tar.zst": {
		Size: int64(len(content)), Checksums: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}}
}

func TestEnvironmentIsFetchedOnceAndChecked(t *testing.T) {
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := &downloads{content: "tar"}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			path, release, err := c.environment(t.Context(), server, tarball(3, "tar"))
			if err != nil || !strings.HasSuffix(path, "3.tar.zst") {
				t.Errorf("got %s, %v", path, err)
				return
			}
			release()
		})
	}
	group.Wait()
	if server.count != 1 {
		t.Errorf("%d downloads", server.count)
	}
	path := filepath.Join(c.dir, "3.tar.zst")
	if err := os.WriteFile(path, []byte("rot"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.environment(t.Context(), server, tarball(3, "tar")); err != nil || server.count != 2 {
		t.Errorf("a rotten environment was used: %v, %d downloads", err, server.count)
	}
}

func TestCacheKeepsTheTenUsedLast(t *testing.T) {
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := &downloads{content: "tar"}
	for id := range int64(14) {
		path, release, err := c.environment(t.Context(), server, tarball(id+1, "tar"))
		if err != nil {
			t.Fatal(err)
		}
		used := time.Now().Add(time.Duration(id-100) * time.Minute)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
		if id != 0 {
			release() // the first is in use all the time
		}
	}
	kept, _ := filepath.Glob(filepath.Join(c.dir, "*"))
	if len(kept) > cacheSize+1 {
		t.Errorf("%d are kept", len(kept))
	}
	for name, want := range map[string]bool{"1.tar.zst": true, "2.tar.zst": false, "14.tar.zst": true} {
		if _, err := os.Stat(filepath.Join(c.dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// takes is a server that takes a live log, and is away at first.
type takes struct {
	Server
	mu    sync.Mutex
	away  int
	got   strings.Builder
	calls int
	most  int    // bytes after which it wants no more; 0 for no bound
	heard func() // called for each chunk; may be nil
}

func (s *takes) AppendLog(_ context.Context, offset int64, chunk []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.away > 0 {
		s.away--
		return errors.New("away")
	}
	if s.most > 0 && s.got.Len() >= s.most {
		return debusine.Invalid{What: "the live log is full"}
	}
	if offset != int64(s.got.Len()) {
		return fmt.Errorf("offset %d", offset)
	}
	s.got.Write(chunk)
	if s.heard != nil {
		s.heard()
	}
	return nil
}

func TestLiveLogLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &takes{away: 1}
	live := follow(t.Context(), server, path, slog.New(slog.DiscardHandler))
	var want strings.Builder
	for i := range 20000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		file.WriteString(line)
		live.Write([]byte(line))
	}
	live.finish()
	if server.got.String() != want.String() {
		t.Errorf("%d of %d bytes arrived", server.got.Len(), want.Len())
	}
	if server.calls > 20 {
		t.Errorf("%d requests", server.calls)
	}
}

func TestALiveLogThatIsFullIsNotOfferedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, make([]byte, 10*liveChunk), 0o644); err != nil {
		t.Fatal(err)
	}
	server := &takes{most: 2 * liveChunk}
	live := follow(t.Context(), server, path, slog.New(slog.DiscardHandler))
	for range 5 {
		live.Write([]byte("more"))
		time.Sleep(livePause / 5)
	}
	live.finish()
	if server.calls != 3 || server.got.Len() != 2*liveChunk {
		t.Errorf("%d requests for %d bytes", server.calls, server.got.Len())
	}
}

func TestFactsAreRead(t *testing.T) {
	d := debusine.SystemTarballData{Pkglist: map[string]string{}}
	learn(&d, "ID=debian\nVERSION_CODENAME=bookworm\ninit=yes\nii  bash 5.2.15-2+b7\nrc  gone 1\nii broken\n\xff\xfe\n", "x_dists_y_")
	if d.SuiteArchitectures != nil {
		t.Errorf("architectures out of nothing: %v", d.SuiteArchitectures)
	}
	if d.Vendor != "debian" || d.Codename != "bookworm" || !d.WithInit || len(d.Pkglist) != 1 || d.Pkglist["bash"] != "5.2.15-2+b7" {
		t.Errorf("got %+v", d)
	}
}

func TestTheReleaseFileOfTheFirstRepositoryCounts(t *testing.T) {
	const files = "Release=mirror.example_debian_dists_trixie-updates_InRelease all sh4\nRelease=mirror.example_debian_dists_trixie_InRelease all amd64 i386 amd64 vax\nRelease=\nRelease\n"
	for name, c := range map[string]struct{ mirror, suite, want string }{
		"the suite itself":               {"http://mirror.example/debian", "trixie", "amd64 i386"},
		"an address that ends in slash":  {"https://mirror.example/debian/", "trixie", "amd64 i386"},
		"another suite of it":            {"http://mirror.example/debian", "trixie-updates", "sh4"},
		"a suite that was not fetched":   {"http://mirror.example/debian", "trixie-security", ""},
		"another mirror":                 {"http://other.example/debian", "trixie", ""},
		"a suite with a slash in it":     {"http://mirror.example/debian", "trixie/updates", ""},
		"a mirror on this machine":       {"file:///mirror.example/debian", "trixie", ""},
		"a flat repository without such": {"http://mirror.example/debian", "./", ""},
	} {
		r := repository{BootstrapRepository: task.BootstrapRepository{Mirror: c.mirror, Suite: c.suite}}
		d := debusine.SystemTarballData{Pkglist: map[string]string{}}
		learn(&d, files, r.releaseName())
		if got := strings.Join(d.SuiteArchitectures, " "); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// makeDeb builds a small package with dpkg-deb, as the build user would own it.
func makeDeb(t *testing.T, a *attempt, build string, options ...string) string {
	t.Helper()
	const name = "hello_1.0-1_amd64.deb"
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: hello\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@b.c>\nDescription: x\n"
	if err := os.WriteFile(filepath.Join(root, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(build, name)
	argv := append([]string{"--build", "--root-owner-group"}, options...)
	if said, err := exec.Command("dpkg-deb", append(argv, root, path)...).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, said)
	}
	if err := os.Chown(path, a.folder.Owner(), -1); err != nil {
		t.Fatal(err)
	}
	return name
}

func sbuildFor(arch string) *task.SbuildData {
	return &task.SbuildData{BuildArchitecture: arch, BuildComponents: []string{"any"}}
}
