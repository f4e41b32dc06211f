package client_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/client"
)

// source writes a source package into a folder and gives its .dsc.
func source(t *testing.T, dir string, edit func(string) string) string {
	t.Helper()
	orig, packaging := []byte("the upstream source"), []byte("the packaging")
	for name, content := range map[string][]byte{"hello_2.10.orig.tar.gz": orig, "hello_2.10-3.debian.tar.xz": packaging} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := func(sum string, content []byte, name string) string {
		return fmt.Sprintf("\n %s %d %s", sum, len(content), name)
	}
	text := "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nArchitecture: any\nVersion: 2.10-3\nMaintainer: A <a@example.org>\nChecksums-Sha256:" +
		line(sum(orig), orig, "hello_2.10.orig.tar.gz") + line(sum(packaging), packaging, "hello_2.10-3.debian.tar.xz") +
		"\nFiles:" + line(md5of(orig), orig, "hello_2.10.orig.tar.gz") + line(md5of(packaging), packaging, "hello_2.10-3.debian.tar.xz") + "\n"
	if edit != nil {
		text = edit(text)
	}
	path := filepath.Join(dir, "hello_2.10-3.dsc")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func md5of(content []byte) string {
	s := md5.Sum(content)
	return hex.EncodeToString(s[:])
}

func TestASourcePackageIsReadWithAllItsFiles(t *testing.T) {
	dir := t.TempDir()
	read, err := client.ReadDebian(t.Context(), source(t, dir, nil), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"hello_2.10-3.debian.tar.xz", "hello_2.10-3.dsc", "hello_2.10.orig.tar.gz"}
	if got := slices.Sorted(maps.Keys(read.Main.Files)); !slices.Equal(got, want) {
		t.Errorf("files %q", got)
	}
	raw, err := json.Marshal(read.Main.Data)
	if err != nil {
		t.Fatal(err)
	}
	// The server's own check takes it.
	if _, err := debusine.ParseArtifactData(read.Main.Category, raw, want); err != nil {
		t.Errorf("%v: %s", err, raw)
	}
}

func TestASourcePackageIsFetchedFromAnArchive(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	source(t, dir, nil)
	archive := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer archive.Close()
	read, err := client.ReadDebian(t.Context(), archive.URL+"/hello_2.10-3.dsc", scratch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := read.Main.Files["hello_2.10.orig.tar.gz"]; got != filepath.Join(scratch, "hello_2.10.orig.tar.gz") {
		t.Errorf("it lies in %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "hello_2.10.orig.tar.gz"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = client.ReadDebian(t.Context(), archive.URL+"/hello_2.10-3.dsc", t.TempDir(), nil)
	if !errors.As(err, new(debusine.Invalid)) || !strings.Contains(err.Error(), "larger than the 19 bytes") {
		t.Errorf("a file that goes on and on: %v", err)
	}
}

func TestWhatIsWrongWithAPackageIsSaidBeforeAnythingIsSent(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(string) string // of the .dsc
		harm func(dir string)
		want string
	}{
		{name: "not a .dsc", edit: func(string) string { return "\x7fELF\x00\x01" }, want: "hello_2.10-3.dsc is not a Debian source control file"},
		{name: "an empty .dsc", edit: func(string) string { return "" }, want: "is not a Debian source control file"},
		{name: "a file is missing", harm: func(dir string) { os.Remove(filepath.Join(dir, "hello_2.10.orig.tar.gz")) },
			want: "hello_2.10-3.dsc lists hello_2.10.orig.tar.gz, which is not beside it"},
		{name: "a byte is changed", harm: func(dir string) {
			os.WriteFile(filepath.Join(dir, "hello_2.10.orig.tar.gz"), []byte("the upstream Source"), 0o644)
		}, want: "hello_2.10.orig.tar.gz has the SHA-256"},
		{name: "a byte is added", harm: func(dir string) {
			os.WriteFile(filepath.Join(dir, "hello_2.10.orig.tar.gz"), []byte("the upstream source!"), 0o644)
		}, want: "hello_2.10.orig.tar.gz has 20 bytes, but hello_2.10-3.dsc says 19"},
		{name: "a name leads out of the folder", edit: func(s string) string {
			return strings.ReplaceAll(s, "hello_2.10.orig.tar.gz", "../hello_2.10.orig.tar.gz")
		}, want: "is not a Debian source control file"},
		{name: "a folder in place of a file", harm: func(dir string) {
			os.Remove(filepath.Join(dir, "hello_2.10.orig.tar.gz"))
			os.Mkdir(filepath.Join(dir, "hello_2.10.orig.tar.gz"), 0o755)
		}, want: "is not a regular file"},
		{name: "an architecture that does not exist is for the server to judge, a version that is none is not",
			edit: func(s string) string { return strings.ReplaceAll(s, "Version: 2.10-3", "Version: two") }, want: "is not a Debian source control file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := source(t, dir, test.edit)
			if test.harm != nil {
				test.harm(dir)
			}
			_, err := client.ReadDebian(t.Context(), path, "", nil)
			if !errors.As(err, new(debusine.Invalid)) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%T %v, want %s", err, err, test.want)
			}
		})
	}
	if _, err := client.ReadDebian(t.Context(), "/nonexistent/hello.dsc", "", nil); err == nil || !strings.Contains(err.Error(), "there is no file /nonexistent/hello.dsc") {
		t.Errorf("%v", err)
	}
	if _, err := client.ReadDebian(t.Context(), "hello.tar.gz", "", nil); !errors.As(err, new(debusine.Invalid)) {
		t.Errorf("%v", err)
	}
}

func TestAnUploadIsImportedWithItsPackages(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is missing")
	}
	dir := t.TempDir()
	deb := buildDeb(t, dir)
	content, err := os.ReadFile(filepath.Join(dir, deb))
	if err != nil {
		t.Fatal(err)
	}
	changes := fmt.Sprintf("Format: 1.8\nDate: Mon, 05 Oct 2026 10:00:00 +0000\nSource: hello\nBinary: hello\nArchitecture: all\nVersion: 1.0\n"+
		"Distribution: unstable\nMaintainer: A <a@example.org>\nDescription:\n hello - x\nChanges:\n hello (1.0) unstable; urgency=low\n"+
		"Checksums-Sha256:\n %s %d %s\nFiles:\n %s %d misc optional %s\n", sum(content), len(content), deb, md5of(content), len(content), deb)
	path := filepath.Join(dir, "hello_1.0_all.changes")
	if err := os.WriteFile(path, []byte(changes), 0o644); err != nil {
		t.Fatal(err)
	}
	read, err := client.ReadDebian(t.Context(), path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Parts) != 1 || read.Parts[0].Category != debusine.CategoryBinaryPackage {
		t.Fatalf("parts %v", read.Parts)
	}
	for _, n := range []client.NewArtifact{read.Main, read.Parts[0]} {
		raw, _ := json.Marshal(n.Data)
		if _, err := debusine.ParseArtifactData(n.Category, raw, slices.Sorted(maps.Keys(n.Files))); err != nil {
			t.Errorf("%s: %v", n.Category, err)
		}
	}
	f := newFake(t)
	var relations []string
	f.mux.HandleFunc("POST /api/1.0/artifact-relation/", func(w http.ResponseWriter, r *http.Request) {
		var in api.Relation
		_ = json.NewDecoder(r.Body).Decode(&in)
		relations = append(relations, in.Type)
		_, _ = w.Write([]byte("{}"))
	})
	done, err := f.client(0).Import(context.Background(), read, "System", nil)
	if err != nil || done.Main.Category != debusine.CategoryUpload || len(done.Parts) != 1 {
		t.Errorf("%v %v", done, err)
	}
	if !slices.Equal(relations, []string{"extends", "relates-to"}) {
		t.Errorf("relations %q", relations)
	}
}

// buildDeb makes a package that dpkg-deb packs with its own compression.
func buildDeb(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: hello\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"
	if err := os.WriteFile(filepath.Join(root, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	const name = "hello_1.0_all.deb"
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", root, filepath.Join(dir, name)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}
