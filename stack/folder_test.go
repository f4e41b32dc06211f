package stack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newFolder is a state folder that other users can reach, as t.TempDir is not.
func newFolder(t *testing.T) folder {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "debusine-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDefaultState(t *testing.T) {
	state, link := defaultState("/home/anna/debusine", false)
	if state != "/home/anna/debusine/.state" || link != "" {
		t.Errorf("a user's state is %s, linked from %q", state, link)
	}
	state, link = defaultState("/root/debusine", true)
	if !strings.HasPrefix(state, "/var/lib/debusine/") || link != "/root/debusine/.state" {
		t.Errorf("root's state is %s, linked from %q", state, link)
	}
	if other, _ := defaultState("/root/debusine2", true); other == state {
		t.Error("two checkouts share a state folder")
	}
}

func TestStateFolderModes(t *testing.T) {
	f := newFolder(t)
	for name, want := range map[string]os.FileMode{
		"": 0o755, "run": 0o755, "worker": 0o755, "pki": 0o700, "temporal": 0o700, "files": 0o700, "client": 0o700, "log": 0o700,
	} {
		info, err := os.Stat(f.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%q has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestAFolderThatOthersCannotReachIsRefusedAndNamed(t *testing.T) {
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := openFolder(filepath.Join(closed, "new", "state"))
	if err == nil || !strings.Contains(err.Error(), "hint: chmod o+x ") {
		t.Errorf("the error is %v", err)
	}
	if left, _ := os.ReadDir(closed); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestTheSameStateTwiceIsRefused(t *testing.T) {
	f := newFolder(t)
	lock, err := f.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.lock(); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Errorf("the second lock: %v", err)
	}
	lock.Close()
	again, err := f.lock()
	if err != nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	again.Close()
}

func TestLinkState(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, ".state")
	for _, to := range []string{"/var/lib/debusine/a", "/var/lib/debusine/a", "/var/lib/debusine/b"} {
		if err := linkState(link, to); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.Readlink(link); got != to {
			t.Errorf("the link leads to %s, not %s", got, to)
		}
	}
	os.Remove(link)
	if err := os.Mkdir(link, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := linkState(link, "/x"); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("a folder in the way: %v", err)
	}
	if err := linkState("", "/x"); err != nil {
		t.Errorf("no link wanted: %v", err)
	}
}

func TestKeptSecretsAreMadeOnceAndAreTheOwners(t *testing.T) {
	f := newFolder(t)
	first, err := f.keep("installation", func() (string, error) { return secret(5) })
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.keep("installation", func() (string, error) { return "", errors.New("made twice") })
	if err != nil || again != first || len(first) != 8 {
		t.Errorf("first %q, again %q: %v", first, again, err)
	}
	if info, err := os.Stat(f.path("installation")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if _, err := f.keep("other", func() (string, error) { return "", errors.New("no randomness") }); err == nil {
		t.Error("an error was lost")
	}
	if _, err := os.Stat(f.path("other")); err == nil {
		t.Error("an error left a file")
	}
}

func TestPasswords(t *testing.T) {
	f := newFolder(t)
	words, err := f.passwords()
	if err != nil {
		t.Fatal(err)
	}
	if len(words) != 3 || words[roleOurs] == words[roleTemporal] || len(words[roleAll]) < 32 {
		t.Errorf("passwords: %v", words)
	}
	again, err := f.passwords()
	if err != nil || again[roleAll] != words[roleAll] {
		t.Errorf("read again: %v, %v", again, err)
	}
	if err := os.WriteFile(f.path("pki", "pgpass"), []byte("*:*:*:postgres:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.passwords(); err == nil || !strings.Contains(err.Error(), "no password for") {
		t.Errorf("a file that lost its lines: %v", err)
	}
}

func TestBusyPortsAreNamedWithTheFlag(t *testing.T) {
	free, err := anyPorts()
	if err != nil {
		t.Fatal(err)
	}
	taken := listen(t, free.address(portHistory))
	err = free.free()
	taken.Close()
	if err == nil || !strings.Contains(err.Error(), "port "+portText(free.at(portHistory))+" ") || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("the error is %v", err)
	}
	if err := free.free(); err != nil {
		t.Errorf("given back: %v", err)
	}
	for _, base := range []int{0, -5, 65530, 70000} {
		if err := (ports{Base: base}).free(); err == nil || !strings.Contains(err.Error(), "--port-base") {
			t.Errorf("base %d: %v", base, err)
		}
	}
}

func TestPostgresPrograms(t *testing.T) {
	root, data := t.TempDir(), t.TempDir()
	if _, err := postgresPrograms(root, data); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("nothing installed: %v", err)
	}
	for _, version := range []string{"9", "15", "17", "junk"} {
		os.MkdirAll(filepath.Join(root, version, "bin"), 0o755)
		os.WriteFile(filepath.Join(root, version, "bin", "postgres"), nil, 0o755)
	}
	if bin, err := postgresPrograms(root, data); err != nil || bin != filepath.Join(root, "17", "bin") {
		t.Errorf("the newest: %s, %v", bin, err)
	}
	os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("15\n"), 0o600)
	if bin, err := postgresPrograms(root, data); err != nil || bin != filepath.Join(root, "15", "bin") {
		t.Errorf("that of the database: %s, %v", bin, err)
	}
	os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("16\n"), 0o600)
	if _, err := postgresPrograms(root, data); err == nil || !strings.Contains(err.Error(), "postgresql-16") {
		t.Errorf("a database of a version that is gone: %v", err)
	}
}

func TestASocketsPathThatIsTooLongIsRefused(t *testing.T) {
	f := folder("/tmp/" + strings.Repeat("long/", 20))
	if _, err := newPostgres(f); err == nil || !strings.Contains(err.Error(), "107 bytes") {
		t.Errorf("the error is %v", err)
	}
}

func TestNativeArchitecturesAreDebians(t *testing.T) {
	got := strings.Join(knownArchitectures("amd64\ni386\nx32\nwin64\namd64\n"), " ")
	if got != "amd64 i386" {
		t.Errorf("got %q", got)
	}
	if len(nativeArchitectures(t.Context())) == 0 {
		t.Error("this machine runs nothing")
	}
}
