package debian

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func contents(data []byte, limit int64) (entries []DebEntry, err error) {
	for e, err := range ListDeb(bytes.NewReader(data), int64(len(data)), limit) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// listing writes an entry as `dpkg-deb -c` does, without the time.
func listing(e DebEntry) string {
	kind := map[fs.FileMode]string{fs.ModeDir: "d", fs.ModeSymlink: "l", fs.ModeNamedPipe: "p"}[e.Mode&fs.ModeType]
	if kind == "" {
		kind = "-"
	}
	if e.HardLink {
		kind = "h"
	}
	bits := []byte(e.Mode.Perm().String()[1:])
	for i, special := range []fs.FileMode{fs.ModeSetuid, fs.ModeSetgid, fs.ModeSticky} {
		if e.Mode&special == 0 {
			continue
		}
		letter := "sst"[i]
		if bits[3*i+2] == '-' {
			letter -= 'a' - 'A'
		}
		bits[3*i+2] = letter
	}
	text := fmt.Sprintf("%s%s %s/%s %d ./%s", kind, bits, e.User, e.Group, e.Size, strings.TrimPrefix(e.Name, "."))
	switch {
	case e.Mode.IsDir() && e.Name != ".":
		text += "/"
	case e.HardLink:
		text += " link to ./" + e.Link
	case e.Link != "":
		text += " -> " + e.Link
	}
	return text
}

// listedAsDpkg compares a package with what dpkg-deb lists.
func listedAsDpkg(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dpkg-deb", "-c", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := contents(data, 1<<30)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(entries) != len(lines) {
		t.Fatalf("%s: %d entries, %v; dpkg-deb lists %d", filepath.Base(name), len(entries), err, len(lines))
	}
	for i, line := range lines {
		word := strings.Fields(line)
		want := strings.Join(append(word[:3:3], word[5:]...), " ")
		if got := listing(entries[i]); got != want {
			t.Errorf("%s: %q, dpkg-deb says %q", filepath.Base(name), got, want)
		}
		if stamp := entries[i].Modified.UTC().Format("2006-01-02 15:04"); os.Getenv("TZ") == "" && stamp != word[3]+" "+word[4] && utc() {
			t.Errorf("%s: %s was modified at %s, dpkg-deb says %s %s", filepath.Base(name), entries[i].Name, stamp, word[3], word[4])
		}
	}
}

// utc tells whether the machine counts time as dpkg-deb is expected to.
func utc() bool {
	out, err := exec.Command("date", "+%Z").Output()
	return err == nil && strings.TrimSpace(string(out)) == "UTC"
}

func TestListDebAsDpkg(t *testing.T) {
	top := t.TempDir()
	tree := filepath.Join(top, "p")
	writeFile(t, filepath.Join(tree, "DEBIAN/control"), goodControl+"Maintainer: A <a@example.org>\nDescription: x\n", 0o644)
	writeFile(t, filepath.Join(tree, "usr/bin/tool"), "x", 0o755)
	writeFile(t, filepath.Join(tree, "usr/share/"+strings.Repeat("long/", 30)+"név"), strings.Repeat("y", 5000), 0o644)
	for _, err := range []error{
		os.Chmod(filepath.Join(tree, "usr/bin/tool"), 0o755|fs.ModeSetuid),
		os.Symlink("/etc/passwd", filepath.Join(tree, "usr/bin/link")),
		os.Link(filepath.Join(tree, "usr/bin/tool"), filepath.Join(tree, "usr/bin/twin")),
		os.Mkdir(filepath.Join(tree, "tmp"), 0o755),
		os.Chmod(filepath.Join(tree, "tmp"), 0o777|fs.ModeSticky),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"none", "gzip", "xz", "zstd"} {
		name := filepath.Join(top, method+".deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-z1", "-Z"+method, "-b", tree, name).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		listedAsDpkg(t, name)
	}
}

func TestListDebRefuses(t *testing.T) {
	control := string(controlTar(t, file("control", goodControl)))
	data := func(suffix string, part []byte) []byte {
		return archive("debian-binary", "2.0\n", "control.tar", control, "data.tar"+suffix, string(part))
	}
	good := controlTar(t, file("./a", "x"))
	for name, deb := range map[string][]byte{
		"a name that leads out":      data("", controlTar(t, file("./../a", ""))),
		"a link to what leads out":   data("", controlTar(t, file("./a", ""), entry{"./b", "../a", tar.TypeLink})),
		"no name":                    data("", controlTar(t, entry{"", "", tar.TypeReg})),
		"more bytes than the limit":  data(".xz", packed(t, controlTar(t, file("./a", strings.Repeat("x", 1<<20))), "xz", "-0")),
		"a part that is cut short":   data(".gz", gz(good)[:40]),
		"a part that is no tar":      data("", bytes.Repeat([]byte("x"), 1024)),
		"a part that is of no kind":  data(".gz", []byte("x")),
		"a package without any part": archive("debian-binary", "2.0\n"),
	} {
		if entries, err := contents(deb, 1<<20); !isMalformed(err) {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
	var unsupported UnsupportedCompression
	if _, err := contents(data(".lzma", nil), 1<<20); !errors.As(err, &unsupported) || unsupported.Suffix != "lzma" {
		t.Errorf("lzma: %v", err)
	}
	for range ListDeb(bytes.NewReader(data("", good)), int64(len(data("", good))), 1<<20) {
		break // the reader takes no more than is asked for
	}
}

func FuzzListDeb(f *testing.F) {
	part := controlTar(f, file("./a", "x"), entry{"./b", "./a", tar.TypeLink})
	for suffix, data := range map[string][]byte{"": part, ".gz": gz(part), ".xz": packed(f, part, "xz"), ".zst": packed(f, part, "zstd")} {
		f.Add(suffix, data)
	}
	control := string(controlTar(f, file("control", goodControl)))
	f.Fuzz(func(t *testing.T, suffix string, data []byte) {
		if len(suffix) > 8 {
			return
		}
		entries, err := contents(archive("debian-binary", "2.0\n", "control.tar", control, "data.tar"+suffix, string(data)), 1<<20)
		var unsupported UnsupportedCompression
		if err != nil && !isMalformed(err) && !errors.As(err, &unsupported) {
			t.Errorf("an error that is no Malformed: %v", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name, "/") || strings.HasPrefix(e.Name, "..") && (len(e.Name) == 2 || e.Name[2] == '/') {
				t.Errorf("accepted %q", e.Name)
			}
		}
	})
}
