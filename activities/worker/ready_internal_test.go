package workeract

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/executor"
	"debusine/executor/executortest"
)

// smallTarball is an environment that has the users of sbuild and a large file.
func smallTarball(t *testing.T, size int) string {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, file := range []struct{ name, text string }{{"./etc/group", "root:x:0:\nsbuild:x:9:\n"}, {"./etc/passwd", "root:x:0:0::/:/bin/sh\nsbuild:x:9:9::/:/bin/sh\n"},
		{"./usr/lib/large", strings.Repeat("x", size)}} {
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.text)), ModTime: time.Unix(1e9, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, file.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

// newReady keeps environments ready in so many bytes.
func newReady(t *testing.T, size int64) *ready {
	t.Helper()
	return newReadyIn(t, executortest.Dir(t), size)
}

// newReadyIn is newReady with the state folder given.
func newReadyIn(t *testing.T, dir string, size int64) *ready {
	t.Helper()
	m := executortest.OpenIn(t, dir)
	if err := m.Layered(); err != nil {
		t.Skip("nothing can be kept ready here: ", err)
	}
	c, err := openCache(m.Dir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := openReady(m, c, size, "", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// get takes the layers of an environment and gives the lowest.
func (r *ready) get(t *testing.T, id int64, content string) (base string, release func()) {
	t.Helper()
	paths, release, err := r.layers(t.Context(), &downloads{content: content}, tarball(id, content))
	if err != nil || len(paths) == 0 {
		t.Fatalf("environment %d: %q, %v", id, paths, err)
	}
	return paths[len(paths)-1], release
}

func TestWhatWasTamperedWithIsMadeAnew(t *testing.T) {
	content := smallTarball(t, 1000)
	r := newReady(t, 1<<30)
	first, release := r.get(t, 3, content)
	release()
	if again, release := r.get(t, 3, content); again != first {
		t.Errorf("what is ready was not used: %s, then %s", first, again)
	} else {
		release()
	}
	for name, tamper := range map[string]func(dir string) error{
		"a file's bytes": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root::0:0::/:/bin/sh\nsbuild:x:9:9::/:/bin/sh\n"), 0o644)
		},
		"a new file":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "etc/ld.so.preload"), nil, 0o644) },
		"all of it gone": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			before, release := r.get(t, 3, content)
			release()
			if err := tamper(before); err != nil {
				t.Fatal(err)
			}
			after, release := r.get(t, 3, content)
			defer release()
			if after == before {
				t.Error("it was used")
			}
			if text, err := os.ReadFile(filepath.Join(after, "etc/passwd")); err != nil || !strings.HasPrefix(string(text), "root:x:") {
				t.Errorf("%q, %v", text, err)
			}
			if _, err := os.Lstat(before); err == nil {
				t.Error("it was not removed")
			}
		})
	}
}

func TestOnlyRootReachesWhatIsReady(t *testing.T) {
	r := newReady(t, 1<<30)
	base, release := r.get(t, 3, smallTarball(t, 10))
	defer release()
	if info, err := os.Stat(r.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(base, "usr")); err != nil || info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Errorf("a file of an environment belongs to the machine's root: %v", err)
	}
}

func TestReadyKeepsWhatWasUsedLastWithinItsSize(t *testing.T) {
	content := smallTarball(t, 1<<20)
	r := newReady(t, 7<<20) // a tarball's fourfold has to fit beside what is there
	kept := func() (ids []int64) {
		for id, s := range r.stands {
			if s.base != nil {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	_, inUse := r.get(t, 1, content)
	for id := int64(2); id <= 4; id++ {
		_, release := r.get(t, id, content)
		release()
	}
	// A clock that jumps changes nothing: uses are counted.
	for _, s := range r.stands {
		if s.base != nil {
			future := time.Now().Add(time.Duration(s.used) * -1000 * time.Hour)
			if err := os.Chtimes(filepath.Dir(s.base.path), future, future); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, release := r.get(t, 5, content)
	release()
	if got := kept(); fmt.Sprint(got) != "[1 4 5]" {
		t.Errorf("kept are %v", got)
	}
	if found, _ := filepath.Glob(filepath.Join(r.dir, "*")); len(found) != 3 {
		t.Errorf("on disk are %q", found)
	}
	if _, _, err := r.layers(t.Context(), &downloads{content: content}, tarball(5, content)); err != nil {
		t.Error(err)
	}
	large := smallTarball(t, 2<<20)
	if _, _, err := r.layers(t.Context(), &downloads{content: large}, tarball(6, large)); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("there was room: %v", err)
	}
	inUse()
	if got := kept(); !slices.Contains(got, 5) {
		t.Errorf("what is in use went: %v", got)
	}
}

func TestReadyBeginsEmptyAndCanBeNothing(t *testing.T) {
	r := newReady(t, 1<<30)
	base, release := r.get(t, 3, smallTarball(t, 10))
	release()
	again, err := openReady(r.machine, r.cache, 1<<30, "", r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if _, err := os.Stat(base); err == nil {
		t.Error("what an earlier process left is there")
	}
	none, err := openReady(r.machine, r.cache, -1, "", r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer none.close()
	paths, _, err := none.layers(t.Context(), nil, tarball(3, "x"))
	if _, there := os.Stat(r.dir); err != nil || len(paths) != 0 || there == nil {
		t.Errorf("%q, %v, the folder: %v", paths, err, there)
	}
}

func TestAnEnvironmentWithoutAptStaysAsItIs(t *testing.T) {
	content := smallTarball(t, 10)
	r := newReady(t, 1<<30)
	base, release := r.get(t, 3, content)
	release()
	r.used(3, []string{"hello"})
	r.used(4, []string{"hello"}) // nothing is known of it
	r.work.Wait()
	if again, release := r.get(t, 3, content); again != base || r.stands[3].upper != nil || r.stands[3].fresh.busy {
		t.Errorf("%s, then %s: %+v", base, again, r.stands[3])
	} else {
		release()
	}
	if users := r.stands[3].users; users != 0 {
		t.Errorf("%d users", users)
	}
}

// What is fetched beside builds may not fill the disk.
func TestALayerThatGrowsTooLargeIsNotKept(t *testing.T) {
	r := newReady(t, 1<<30)
	fill := func(f *executor.Folder, tree string) []string {
		return f.AsRoot("sh", "-ec", `dd if=/dev/zero of="$1/large" bs=1M count=48 status=none; sync "$1/large"; sleep 20`, "sh", tree)
	}
	began := time.Now()
	made, err := r.makeLayer(t.Context(), 3, nil, executor.Limits{Disk: 16 << 20}, fill)
	if err == nil || !strings.Contains(err.Error(), "16 MiB of disk") || time.Since(began) > 15*time.Second {
		t.Errorf("%+v, %v, after %v", made, err, time.Since(began))
	}
}

func TestATreesDigestSeesEachChange(t *testing.T) {
	changes := map[string]func(dir string) error{
		"bytes of the same length": func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), []byte("TEXT"), 0o644) },
		"a mode":                   func(dir string) error { return os.Chmod(filepath.Join(dir, "file"), 0o4755) },
		"an owner":                 func(dir string) error { return os.Lchown(filepath.Join(dir, "file"), 1, -1) },
		"a link's target":          func(dir string) error { return relink(filepath.Join(dir, "link"), "/etc/shadow") },
		"a link for a file":        func(dir string) error { return relink(filepath.Join(dir, "file"), "folder") },
		"a name":                   func(dir string) error { return os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "file2")) },
		"a file more":              func(dir string) error { return os.WriteFile(filepath.Join(dir, "folder", "more"), nil, 0o644) },
		"a file less":              func(dir string) error { return os.Remove(filepath.Join(dir, "file")) },
		"a time":                   func(dir string) error { return os.Chtimes(filepath.Join(dir, "file"), time.Time{}, time.Unix(5, 0)) },
		"the folder itself":        func(dir string) error { return os.Chmod(dir, 0o777) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/nowhere", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			before, size, err := digestTree(dir)
			if again, _, _ := digestTree(dir); err != nil || again != before || size == 0 {
				t.Fatalf("%s, then %s, %d bytes, %v", before, again, size, err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if after, _, err := digestTree(dir); err != nil || after == before {
				t.Errorf("not seen: %v", err)
			}
		})
	}
}

func relink(path, target string) error {
	os.Remove(path)
	return os.Symlink(target, path)
}
