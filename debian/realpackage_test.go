package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildRealPackage makes a source package with dpkg-source, builds its two
// binary packages with dpkg-buildpackage and returns the folder with the .dsc,
// the .debs, the .buildinfo and the .changes. The version has an epoch.
func buildRealPackage(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	files := map[string]string{
		"debian/control": `Source: tale
Section: misc
Priority: optional
Maintainer: Tésting <test@example.org>
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: tale
Architecture: any
Description: a tale
 that is
 .
 long

Package: tale-data
Architecture: all
Section: doc
Description: its data
`,
		"debian/changelog": `tale (2:1.0~rc1+dfsg) unstable; urgency=low

  * First. (Closes: #1)

 -- Testing <test@example.org>  Sun, 01 Jan 2023 00:00:00 +0000
`,
		"debian/source/format": "3.0 (native)\n",
		"debian/rules": `#!/usr/bin/make -f
clean:
build build-arch build-indep:
binary-arch binary-indep:
binary:
	for p in tale tale-data; do \
	  mkdir -p debian/$$p/DEBIAN && dpkg-gencontrol -p$$p -Pdebian/$$p && \
	  printf '#!/bin/sh\n' > debian/$$p/DEBIAN/postinst && chmod 755 debian/$$p/DEBIAN/postinst && \
	  dpkg-deb --root-owner-group -Zgzip -b debian/$$p .. || exit 1; done
`,
	}
	source := filepath.Join(top, "tale-1.0~rc1+dfsg")
	for name, text := range files {
		writeFile(t, filepath.Join(source, name), text, 0o755)
	}
	command := exec.Command("dpkg-buildpackage", "-us", "-uc", "-d", "-F")
	command.Dir = source
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("this test needs dpkg-buildpackage (apt-get install dpkg-dev): %v\n%s", err, out)
	}
	return top
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// one is the single file of a folder that fits the pattern.
func one(t *testing.T, folder, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func TestARealPackageIsReadAsDpkgWroteIt(t *testing.T) {
	top := buildRealPackage(t)
	t.Run("the .dsc", func(t *testing.T) { checkRealDSC(t, one(t, top, "*.dsc")) })
	t.Run("the .changes", func(t *testing.T) { checkRealChanges(t, one(t, top, "*.changes")) })
	t.Run("the .buildinfo", func(t *testing.T) { checkRealBuildInfo(t, one(t, top, "*.buildinfo")) })
	t.Run("the .deb of the machine", func(t *testing.T) { checkRealDeb(t, one(t, top, "tale_*.deb"), "tale") })
	t.Run("the .deb for all", func(t *testing.T) { checkRealDeb(t, one(t, top, "*_all.deb"), "tale-data") })
}

func checkRealDSC(t *testing.T, name string) {
	d, err := ParseDSC(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if d.Source != "tale" || d.Version.String() != "2:1.0~rc1+dfsg" || d.Format != "3.0 (native)" || d.FileName() != filepath.Base(name) {
		t.Errorf("got %+v", d)
	}
	if len(d.Architectures) != 2 || strings.Join(d.Binaries, " ") != "tale tale-data" {
		t.Errorf("got architectures %v, binaries %v", d.Architectures, d.Binaries)
	}
	if len(d.Targets.Packages) != 2 || d.Targets.Builds("i386", nil) != nil || d.Targets.Builds(ArchAll, nil) != nil {
		t.Errorf("got %+v", d.Targets)
	}
	if len(d.Files) != 1 {
		t.Fatalf("got files %v", d.Files)
	}
	checkFile(t, filepath.Dir(name), d.Files[0])
}

func checkRealBuildInfo(t *testing.T, name string) {
	b, err := ParseBuildInfo(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if b.Source != "tale" || b.Version.String() != "2:1.0~rc1+dfsg" || len(b.Architectures) != 3 || len(b.Binaries) != 2 || len(b.Files) != 3 {
		t.Errorf("got %+v", b)
	}
	if !b.BuildArchitecture.IsReal() || b.BuildDate.IsZero() || len(b.Installed) < 10 || len(b.Environment) == 0 {
		t.Errorf("built on %s at %s with %d packages, variables %v", b.BuildArchitecture, b.BuildDate, len(b.Installed), b.Environment)
	}
	for _, f := range b.Files {
		checkFile(t, filepath.Dir(name), f)
	}
}

func checkRealChanges(t *testing.T, name string) {
	c, err := ParseChanges(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if c.Source != "tale" || c.Version.Compare(c.SourceVersion) != 0 || c.Distribution != "unstable" || !c.HasSource() {
		t.Errorf("got %+v", c)
	}
	if len(c.Architectures) != 3 || len(c.Files) != 5 {
		t.Errorf("got architectures %v, files %v", c.Architectures, c.Files)
	}
	for _, f := range c.Files {
		checkFile(t, filepath.Dir(name), f)
		if strings.HasPrefix(f.Name, "tale-data") && (f.Section != "doc" || f.Priority != "optional") {
			t.Errorf("%s has section %q and priority %q", f.Name, f.Section, f.Priority)
		}
	}
}

// checkFile compares with what sha256sum and the file system say.
func checkFile(t *testing.T, folder string, f File) {
	t.Helper()
	out, err := exec.Command("sha256sum", filepath.Join(folder, f.Name)).Output()
	if err != nil || !strings.HasPrefix(string(out), f.SHA256+" ") {
		t.Errorf("%s: sha256 %s, sha256sum says %s, %v", f.Name, f.SHA256, out, err)
	}
	if info, err := os.Stat(filepath.Join(folder, f.Name)); err != nil || info.Size() != f.Size {
		t.Errorf("%s: size %d, %v", f.Name, f.Size, err)
	}
}

// checkRealDeb compares each field with dpkg-deb's answer.
func checkRealDeb(t *testing.T, name, pkg string) {
	d, err := OpenDeb(name)
	if err != nil {
		t.Fatal(err)
	}
	if d.Package != pkg || d.Source != "tale" || d.SourceVersion.Compare(d.Version) != 0 {
		t.Errorf("got %+v", d)
	}
	if strings.Join(d.ControlFiles, " ") != "control postinst" {
		t.Errorf("got control files %v", d.ControlFiles)
	}
	for _, f := range d.Control.Fields() {
		out, err := exec.Command("dpkg-deb", "-f", name, f.Name).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != f.Value || d.Fields()[f.Name] != f.Value {
			t.Errorf("%s is %q, dpkg-deb says %q, %v", f.Name, f.Value, got, err)
		}
	}
}

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
