package workeract

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"debusine/executor/executortest"
)

// gzipped is an environment that is far larger than its tarball.
func gzipped(t *testing.T, content string) string {
	t.Helper()
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

// A disk that is full to the last byte while an environment is unpacked costs
// that environment its place, and nothing else: no half of one is kept, the room
// is given back, and what fits is kept ready as ever.
func TestAFullDiskKeepsNoHalfEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	dir := executortest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=96m,mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	r := newReadyIn(t, dir, 1<<30)
	small := smallTarball(t, 1000)
	kept, release := r.get(t, 1, small)
	release()
	before := freeSpace(dir)
	large := gzipped(t, smallTarball(t, 200<<20)) // room is made for four times its 200 kB
	paths, release, err := r.layers(t.Context(), &downloads{content: large}, tarball(2, large))
	if err == nil {
		release()
		t.Fatalf("200 MiB are kept on a disk of 96: %q", paths)
	}
	t.Log("the reason given:", err)
	if lost := before - freeSpace(dir); lost > int64(len(large))+1<<20 {
		t.Errorf("%d bytes of the disk are lost", lost)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ready", "*")); len(left) != 1 {
		t.Errorf("there are %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "jobs", "*")); len(left) != 0 {
		t.Errorf("work folders stay behind: %q", left)
	}
	if again, release := r.get(t, 1, small); again != kept {
		t.Errorf("what was ready is not: %s, then %s", kept, again)
	} else {
		release()
	}
	_, release = r.get(t, 3, smallTarball(t, 1<<20))
	release()
}
