package workeract_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
)

// tree is a source package to be made: paths to texts. What it lacks of a
// package without build dependencies is filled in.
type tree map[string]string

// quiet is debian/rules of a package that builds in two seconds. Where root is not
// required, dpkg-buildpackage calls the binary targets alone.
const quiet = `#!/usr/bin/make -f
build build-arch build-indep clean:
binary binary-arch: build-arch
	mkdir -p debian/tmp/DEBIAN
	dpkg-gencontrol -ptiny
	dpkg-deb --build --root-owner-group debian/tmp ..
binary-indep:
`

// rules is quiet with a recipe in place of the build.
func rules(recipe ...string) string {
	head, tail, _ := strings.Cut(quiet, "build build-arch build-indep clean:\n")
	return head + "clean:\nbuild build-indep: build-arch\nbuild-arch:\n\t" + strings.Join(recipe, "\n\t") + "\n" + tail
}

// write puts the package tiny, version 1.0 of 3.0 (native), in a folder.
func (f tree) write(t *testing.T, dir string) {
	t.Helper()
	files := tree{
		"debian/control": "Source: tiny\nMaintainer: A <a@b.c>\nSection: misc\nPriority: optional\nStandards-Version: 4.6.2\n" +
			"Rules-Requires-Root: no\n\nPackage: tiny\nArchitecture: any\nDescription: made by a test\n",
		"debian/changelog":     "tiny (1.0) unstable; urgency=medium\n\n  * x\n\n -- A <a@b.c>  Sun, 22 Nov 2026 12:00:00 +0000\n",
		"debian/source/format": "3.0 (native)\n",
		"debian/rules":         quiet,
	}
	maps.Copy(files, f)
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// source builds the source package with dpkg-source and puts it on the shelf.
// bend may spoil the files, .dsc among them, after that.
func (s *shelf) source(t *testing.T, files tree, bend func(dir string)) api.Artifact {
	t.Helper()
	dir := t.TempDir()
	files.write(t, filepath.Join(dir, "tiny"))
	cmd := exec.Command("dpkg-source", "--build", "tiny")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-source: %v: %s", err, said)
	}
	dscs, _ := filepath.Glob(filepath.Join(dir, "tiny_*.dsc"))
	if len(dscs) != 1 {
		t.Fatalf("dpkg-source made %v", dscs)
	}
	data := sourceData(t, dscs[0])
	if bend != nil {
		bend(dir)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "tiny_*"))
	paths := map[string]string{}
	for _, path := range found {
		paths[filepath.Base(path)] = path
	}
	id, err := s.CreateArtifact(t.Context(), debusine.CategorySourcePackage, data, paths)
	if err != nil {
		t.Fatal(err)
	}
	return s.artifacts[id]
}

// cutOff derives environments from one with a mirror: bare has none, so that
// builds need no network, and dead has one that refuses connections.
func (s *shelf) cutOff(t *testing.T, environment api.Artifact) (bare, dead api.Artifact) {
	t.Helper()
	dir := t.TempDir()
	names := slices.Sorted(maps.Keys(environment.Files))
	// Of two entries for one path the later is what remains.
	var data debusine.SystemTarballData
	if err := json.Unmarshal(environment.Data, &data); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`set -e; cd %s
		zstd -dcq '%s' > bare.tar
		cp bare.tar dead.tar
		mkdir -p etc/apt/sources.list.d etc/apt/apt.conf.d
		echo 'Acquire::Retries "0";' > etc/apt/apt.conf.d/99retries
		: > etc/apt/sources.list.d/debusine.sources
		tar --append --owner=0 --group=0 -f bare.tar ./etc/apt/sources.list.d/debusine.sources
		printf 'Types: deb\nURIs: http://10.0.2.2:9/debian\nSuites: %s\nComponents: main\n' > etc/apt/sources.list.d/debusine.sources
		tar --append --owner=0 --group=0 -f dead.tar ./etc/apt/sources.list.d/debusine.sources ./etc/apt/apt.conf.d/99retries`,
		dir, s.path(environment.ID, names[0]), data.Codename)
	if said, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	keep := func(name string) api.Artifact {
		id, err := s.CreateArtifact(t.Context(), debusine.CategorySystemTarball, debusine.SystemTarballData{Filename: "system.tar", Vendor: "debian",
			Codename: data.Codename, Mirror: "http://mirror.example/debian", Architecture: "amd64", Components: []string{"main"}, Pkglist: map[string]string{}},
			map[string]string{"system.tar": filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		return s.artifacts[id]
	}
	return keep("bare.tar"), keep("dead.tar")
}

// spoil puts other bytes in the tarball's place, with a .dsc that agrees.
func spoil(t *testing.T, dir string, content []byte) {
	t.Helper()
	tars, _ := filepath.Glob(filepath.Join(dir, "tiny_1.0.tar.*"))
	if len(tars) != 1 {
		t.Fatalf("tarballs %v", tars)
	}
	old, err := os.ReadFile(tars[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tiny_1.0.dsc")
	dsc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(dsc)
	for _, sum := range []func([]byte) string{
		func(b []byte) string { return fmt.Sprintf("%x %d", md5.Sum(b), len(b)) },
		func(b []byte) string { return fmt.Sprintf("%x %d", sha1.Sum(b), len(b)) },
		func(b []byte) string { return fmt.Sprintf("%x %d", sha256.Sum256(b), len(b)) },
	} {
		text = strings.ReplaceAll(text, sum(old), sum(content))
	}
	if err := os.WriteFile(tars[0], content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sbuildJob builds a source in an environment, both by their numbers.
func sbuildJob(t *testing.T, source, environment int64) workeract.Job {
	t.Helper()
	return job(t, "sbuild", object{"input": object{"source_artifact": source}, "build_architecture": "amd64", "environment": "bookworm"},
		object{"input_source_artifact_id": source, "environment_id": environment, "input_extra_binary_artifacts_ids": []int64{}})
}
