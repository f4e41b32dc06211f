package workeract

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine/api"
	"debusine/debian"
)

// dscOf writes a .dsc that lists one file of the given name and content.
func dscOf(name, content string) string {
	sum := sha256.Sum256([]byte(content))
	return "Format: 3.0 (native)\nSource: tiny\nBinary: tiny\nArchitecture: any\nVersion: 1.0\nMaintainer: A <a@b.c>\nChecksums-Sha1:\n " +
		strings.Repeat("0", 40) + fmt.Sprintf(" %d %s\n", len(content), name) + "Checksums-Sha256:\n " + hex.EncodeToString(sum[:]) + fmt.Sprintf(" %d %s\n", len(content), name) +
		"Files:\n " + strings.Repeat("0", 32) + fmt.Sprintf(" %d %s\n", len(content), name)
}

func TestSourceIsComparedWithItsDsc(t *testing.T) {
	const tar = "tiny_1.0.tar.xz"
	good := dscOf(tar, "tar")
	tests := []struct{ name, dsc, want string }{
		{"as it should be", good, ""},
		{"another checksum", dscOf(tar, "TAR"), "another SHA-256 of tiny_1.0.tar.xz"},
		{"another size", dscOf(tar, "longer"), "another size of tiny_1.0.tar.xz"},
		{"a file that is not there", dscOf("tiny_1.0.orig.tar.xz", "tar"), "lists tiny_1.0.orig.tar.xz, which the source package does not have"},
		{"a name that leads outside", strings.ReplaceAll(good, tar, "../../../../etc/passwd"), "cannot be read"},
		{"an absolute name", strings.ReplaceAll(good, tar, "/etc/passwd"), "cannot be read"},
		{"a name that is an option", strings.ReplaceAll(good, tar, "--help"), "cannot be read"},
		{"lists that differ", strings.Replace(good, tar, "other.tar.xz", 1), "cannot be read"},
		{"another source package", strings.Replace(good, "Source: tiny", "Source: linux", 1), "is of linux 1.0, but the artifact is of tiny 1.0"},
		{"another version", strings.Replace(good, "Version: 1.0", "Version: 2.0", 1), "is of tiny 2.0"},
		{"a name with a newline", strings.Replace(good, "Binary: tiny", "Binary: tiny\n evil;rm", 1), "cannot be read"},
		{"no .dsc", "\x7fELF\x00\x1b[2J", "cannot be read"},
		{"nothing", "", "cannot be read"},
		{"ten megabytes of fields", good + "Package-List:\n" + strings.Repeat(" tiny deb misc optional arch=any\n", 10<<20/33), "cannot be read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tiny_1.0.dsc")
			if err := os.WriteFile(path, []byte(test.dsc), 0o644); err != nil {
				t.Fatal(err)
			}
			s := &sbuild{name: "tiny", version: "1.0", dsc: path}
			sum := sha256.Sum256([]byte("tar"))
			s.source.Files = map[string]api.File{tar: {Size: 3, Checksums: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}
			reason, err := s.checkSource()
			if err != nil || (reason == "") != (test.want == "") || !strings.Contains(reason, test.want) || len(reason) > 600 || strings.ContainsAny(reason, "\n\x1b\x00") {
				t.Errorf("got %q, %v", reason, err)
			}
		})
	}
}

func TestPackagesMustComeOfTheSource(t *testing.T) {
	version := func(s string) debian.Version {
		v, err := debian.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		name                         string
		source, sourceVersion        string // of the .changes
		debSource, debVersion, debOf string
		want                         string
	}{
		{"its own", "tiny", "1:1.0", "tiny", "1:1.0", "amd64", ""},
		{"for all machines", "tiny", "1:1.0", "tiny", "1:1.0", "all", ""},
		{"a .changes of another source", "linux", "1:1.0", "tiny", "1:1.0", "amd64", "tiny.changes says that it was built from linux 1:1.0, but the source package is tiny 1:1.0"},
		{"a .changes of another version", "tiny", "99", "tiny", "1:1.0", "amd64", "tiny 99"},
		{"a package of another source", "tiny", "1:1.0", "linux", "1:1.0", "amd64", "tiny.deb says that it was built from linux"},
		{"a package of another version", "tiny", "1:1.0", "tiny", "1.0", "amd64", "built from tiny 1.0"},
		{"a package for another machine", "tiny", "1:1.0", "tiny", "1:1.0", "arm64", "is for arm64, not for amd64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &sbuild{name: "tiny", version: "1:1.0", wanted: "1:1.0", data: sbuildFor("amd64")}
			b := &built{name: "tiny.changes", debs: []string{"tiny.deb"},
				changes: &debian.Changes{Source: test.source, SourceVersion: version(test.sourceVersion), Version: version("1:1.0")}}
			err := s.isOurs(b, map[string]*debian.Deb{"tiny.deb": {Source: test.debSource, SourceVersion: version(test.debVersion), Architecture: debian.Arch(test.debOf)}})
			if (err == nil) != (test.want == "") || err != nil && (!isUnusable(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}
