package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"debusine"
	"debusine/files"
	"debusine/files/filestest"
)

func TestDiskKeepsTheContract(t *testing.T) {
	open := func(t *testing.T, dir string) filestest.Store {
		t.Helper()
		d, err := files.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	fresh := func(t *testing.T) filestest.Store { return open(t, t.TempDir()) }
	reopen := func(t *testing.T, s filestest.Store) filestest.Store {
		return open(t, filepath.Dir(s.(*files.Disk).Objects()))
	}
	filestest.Run(t, fresh, reopen)
}

func announced(b []byte) files.Announced {
	s := sha256.Sum256(b)
	return files.Announced{Size: int64(len(b)), SHA256: hex.EncodeToString(s[:])}
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAFullDiskKeepsNothingOfTheFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 6<<20)
	if _, err := d.Append(t.Context(), "k", 0, bytes.NewReader(large), announced(large)); !errors.As(err, new(files.Full)) {
		t.Fatalf("refused with %v", err)
	}
	// Another file takes the room while this one arrives.
	half := bytes.Repeat([]byte("y"), 3<<20)
	thief := reading(func() { _ = os.WriteFile(filepath.Join(dir, "thief"), make([]byte, 3<<20), 0o600) })
	_, err = d.Append(t.Context(), "k", 0, io.MultiReader(bytes.NewReader(half[:1<<20]), thief, bytes.NewReader(half[1<<20:])), announced(half))
	if !errors.As(err, new(files.Full)) {
		t.Fatalf("broke with %v", err)
	}
	os.Remove(filepath.Join(dir, "thief"))
	if left := listing(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := d.Append(t.Context(), "k", 0, bytes.NewReader(half), announced(half)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// reading does something when it is read, and is empty.
type reading func()

func (r reading) Read([]byte) (int, error) { r(); return 0, io.EOF }

func TestAStateThatACrashToreBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	d, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Repeat([]byte("z"), 1000)
	if _, err := d.Append(t.Context(), "k", 0, bytes.NewReader(b[:500]), announced(b)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "partial", "k.state")
	for _, torn := range []string{"", "{", `{"offset": 500, "hash": "AAAA"}`, `{"offset": 500}`} {
		if err := os.WriteFile(name, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		have, err := d.Append(t.Context(), "k", 0, bytes.NewReader(b[:100]), announced(b))
		if err != nil || have != 100 {
			t.Errorf("%q: %d %v", torn, have, err)
		}
		if err := d.Forget("k"); err != nil {
			t.Fatal(err)
		}
	}
	// Bytes that were written after the state are not counted on.
	if _, err := d.Append(t.Context(), "k", 0, bytes.NewReader(b[:500]), announced(b)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "partial", "k"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("garbage"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := d.Append(t.Context(), "k", 500, bytes.NewReader(b[500:]), announced(b)); err != nil {
		t.Error(err)
	}
}

func TestTwoServersShareAFolder(t *testing.T) {
	dir := t.TempDir()
	one, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Repeat([]byte("w"), 1000)
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := one.Append(context.Background(), "k", 0, reader, announced(b))
		ended <- err
	}()
	if _, err := writer.Write(b[:10]); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		_, err := two.Append(context.Background(), "k", 0, bytes.NewReader(b), announced(b))
		second <- err
	}()
	writer.CloseWithError(errors.New("cut"))
	if err := <-ended; err == nil {
		t.Error("the cut went unnoticed")
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	if f, err := two.Open(announced(b).SHA256); err != nil || f.Close() != nil {
		t.Error(err)
	}
}

func TestTheFolderMustBeWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Open(file); err == nil || errors.As(err, new(debusine.Missing)) {
		t.Error(err)
	}
}
