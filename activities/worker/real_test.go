package workeract_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/debian"
)

// mirror is the machine's own: address, suite and codename of apt's first target.
func mirror(t *testing.T) (url, suite string) {
	t.Helper()
	if testing.Short() {
		t.Skip("bootstraps and builds for real: minutes")
	}
	said, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Architecture: amd64").Output()
	fields := strings.Fields(string(said))
	if err != nil || len(fields) < 2 {
		t.Skip("apt knows no mirror: run apt-get update")
	}
	return fields[0], fields[1]
}

// fetchSource downloads a source package from the mirror and puts it on the shelf.
func fetchSource(t *testing.T, s *shelf, url, suite, name string) api.Artifact {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	sources := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(sources, []byte("deb-src "+url+" "+suite+" main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"update"}, {"source", "--download-only", name}} {
		cmd := exec.Command("apt-get", append([]string{"-o", "Dir::Etc::sourcelist=" + sources, "-o", "Dir::Etc::sourceparts=-",
			"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache=",
			"-o", "APT::Sandbox::User=root"}, args...)...)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apt-get %v: %v: %s", args, err, said)
		}
	}
	files := map[string]string{}
	found, _ := filepath.Glob(filepath.Join(dir, name+"_*"))
	data := debusine.SourcePackageData{Type: "dpkg"}
	for _, path := range found {
		files[filepath.Base(path)] = path
		if strings.HasSuffix(path, ".dsc") {
			data = sourceData(t, path)
		}
	}
	id, err := s.CreateArtifact(t.Context(), debusine.CategorySourcePackage, data, files)
	if err != nil {
		t.Fatal(err)
	}
	return s.artifacts[id]
}

// sourceData is what a source package's artifact says.
func sourceData(t *testing.T, path string) debusine.SourcePackageData {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dsc, err := debian.ParseDSC(file)
	if err != nil {
		t.Fatal(err)
	}
	return debusine.SourcePackageData{Name: dsc.Source, Version: dsc.Version.String(), Type: "dpkg", DscFields: dsc.Fields()}
}

// bootstrap makes an environment with our own code, or takes the one that
// DEBUSINE_TEST_TARBALL names.
func bootstrap(t *testing.T, doer *workeract.Doer, s *shelf, url, suite string) api.Artifact {
	t.Helper()
	if path := os.Getenv("DEBUSINE_TEST_TARBALL"); path != "" {
		id, err := s.CreateArtifact(t.Context(), "debian:system-tarball", debusine.SystemTarballData{
			Filename: "system.tar.zst", Vendor: "debian", Codename: suite, Mirror: url, Architecture: "amd64", Components: []string{"main"}, Pkglist: map[string]string{}},
			map[string]string{"system.tar.zst": path})
		if err != nil {
			t.Fatal(err)
		}
		return s.artifacts[id]
	}
	start := time.Now()
	outcome, err := doer.Do(t.Context(), job(t, "mmdebstrap", object{
		"bootstrap_options":      object{"architecture": "amd64", "variant": "buildd", "extra_packages": []string{"fakeroot"}},
		"bootstrap_repositories": []object{{"mirror": url, "suite": suite}},
		"customization_script":   "echo customized > /etc/debusine-test\n",
	}, nil), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("bootstrap: %+v, %v\n%s", outcome, err, s.log)
	}
	t.Logf("bootstrap took %v: %+v", time.Since(start), *outcome.OutputData.RuntimeStatistics)
	tarballs := s.all("debian:system-tarball")
	if len(tarballs) != 1 {
		t.Fatalf("%d tarballs", len(tarballs))
	}
	return tarballs[0]
}

// TestBuilds shares one environment: to bootstrap one takes minutes.
func TestBuilds(t *testing.T) {
	url, suite := mirror(t)
	doer, s := newDoer(t), newShelf(t)
	e := environments{whole: bootstrap(t, doer, s, url, suite)}
	t.Run("the tarball says what is in it", func(t *testing.T) { describesItself(t, s, e.whole) })
	e.bare, e.dead = s.cutOff(t, e.whole)
	hello := fetchSource(t, s, url, suite, "hello")
	plain, kept := s.beside(t, e.whole, hello), s.beside(t, e.whole, hello)
	t.Run("beside one another", func(t *testing.T) {
		t.Run("hello", func(t *testing.T) {
			t.Parallel()
			buildsHello(t, doer, plain, hello, e.whole)
		})
		t.Run("hello in an environment that is kept ready", func(t *testing.T) {
			t.Parallel()
			buildsWhatIsReady(t, kept, hello, e.whole)
		})
		t.Run("a build sees the same in both", func(t *testing.T) {
			t.Parallel()
			seesTheSame(t, doer, s.beside(t, e.bare), e.bare)
		})
		t.Run("hello in a schroot", func(t *testing.T) {
			t.Parallel()
			buildsInSchroot(t, doer, s.beside(t, e.whole, hello), hello, e.whole)
		})
		t.Run("the same mirror makes the same bytes", func(t *testing.T) {
			t.Parallel()
			makesTheSameBytes(t, doer, e.whole, url, suite)
		})
		t.Run("a signed source of a template", func(t *testing.T) {
			t.Parallel()
			buildsSigned(t, doer, s.beside(t, e.bare, e.whole), e)
		})
		for _, b := range builds() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				b.run(t, doer, s.beside(t, e.bare, e.whole), e)
			})
		}
		for _, b := range badBuilds() {
			t.Run(b.name, func(t *testing.T) { b.run(t, doer, s, e) })
		}
		t.Run("aborted: soon gone, with its log", func(t *testing.T) {
			t.Parallel()
			abortsABuild(t, doer, s.beside(t, e.bare), e.bare)
		})
	})
	t.Run("what is ready and what is unpacked give the same", func(t *testing.T) { sameBuilt(t, plain, kept) })
}

// makesTheSameBytes makes the environment once more, some minutes later.
func makesTheSameBytes(t *testing.T, doer *workeract.Doer, first api.Artifact, url, suite string) {
	if os.Getenv("DEBUSINE_TEST_TARBALL") != "" {
		t.Skip("not made here")
	}
	again := bootstrap(t, doer, newShelf(t), url, suite)
	if one, two := first.Files["system.tar.zst"].Checksums["sha256"], again.Files["system.tar.zst"].Checksums["sha256"]; one == "" || one != two {
		t.Errorf("the first has SHA-256 %s, the second %s; hint: the mirror may have changed in between", one, two)
	}
}

func buildsHello(t *testing.T, doer *workeract.Doer, s *shelf, source, environment api.Artifact) {
	start := time.Now()
	outcome, err := doer.Do(t.Context(), sbuildJob(t, source.ID, environment.ID), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("build: %+v, %v\n%s", outcome, err, s.log)
	}
	t.Logf("build took %v: %+v", time.Since(start), *outcome.OutputData.RuntimeStatistics)
	helloIsStored(t, s)
}

func describesItself(t *testing.T, s *shelf, tarball api.Artifact) {
	if os.Getenv("DEBUSINE_TEST_TARBALL") != "" {
		t.Skip("not made here")
	}
	var data struct {
		Vendor, Codename, Variant, Architecture, Filename string
		Pkglist                                           map[string]string
		Components                                        []string
		Suite_architectures                               []string
		With_dev, With_init                               bool
	}
	if err := json.Unmarshal(tarball.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.Vendor != "debian" || data.Codename == "" || data.Variant != "buildd" || data.Architecture != "amd64" ||
		!slices.Contains(data.Components, "main") || data.Pkglist["dpkg"] == "" || data.Pkglist["fakeroot"] == "" || !data.With_dev ||
		!slices.Contains(data.Suite_architectures, "arm64") {
		t.Errorf("got %s", tarball.Data)
	}
	names, err := exec.Command("tar", "--list", "-f", s.path(tarball.ID, data.Filename)).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"./etc/apt/sources.list.d/debusine.sources\n", "./etc/debusine-test\n"} {
		if !strings.Contains(string(names), want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, bad := range []string{"./etc/hostname\n", "./etc/resolv.conf\n", "./tmp/customize\n"} {
		if strings.Contains(string(names), bad) {
			t.Errorf("%s is there", bad)
		}
	}
}

func helloIsStored(t *testing.T, s *shelf) {
	logs, packages, uploads := s.all("debian:package-build-log"), s.all("debian:binary-package"), s.all("debian:upload")
	if len(logs) != 1 || len(packages) != 2 || len(uploads) != 1 || len(s.all("debusine:work-request-debug-logs")) != 0 {
		t.Fatalf("%d logs, %d packages, %d uploads", len(logs), len(packages), len(uploads))
	}
	text := s.text(t, logs[0])
	if !strings.Contains(text, "\nStatus: successful\n") || text != string(s.log) {
		t.Errorf("the log has %d bytes, the live one %d", len(text), len(s.log))
	}
	var log struct{ Source, Version, Architecture, Filename string }
	if err := json.Unmarshal(logs[0].Data, &log); err != nil || log.Source != "hello" || log.Architecture != "amd64" {
		t.Errorf("log data %s: %v", logs[0].Data, err)
	}
	var deb struct {
		Name   string         `json:"srcpkg_name"`
		Fields map[string]any `json:"deb_fields"`
		Files  []string       `json:"deb_control_files"`
	}
	if err := json.Unmarshal(packages[0].Data, &deb); err != nil || deb.Name != "hello" || deb.Fields["Architecture"] != "amd64" || !slices.Contains(deb.Files, "md5sums") {
		t.Errorf("package data %s: %v", packages[0].Data, err)
	}
	if len(uploads[0].Files) != 4 {
		t.Errorf("upload of %v", uploads[0].Files)
	}
	slices.Sort(s.relations)
	want := []string{
		"debian:binary-package built-using debian:source-package", "debian:binary-package built-using debian:source-package",
		"debian:package-build-log relates-to debian:binary-package", "debian:package-build-log relates-to debian:binary-package",
		"debian:package-build-log relates-to debian:source-package", "debian:package-build-log relates-to debian:upload",
		"debian:upload extends debian:binary-package", "debian:upload extends debian:binary-package",
		"debian:upload relates-to debian:binary-package", "debian:upload relates-to debian:binary-package",
	}
	if !slices.Equal(s.relations, want) {
		t.Errorf("relations %q", s.relations)
	}
}

func abortsABuild(t *testing.T, doer *workeract.Doer, s *shelf, environment api.Artifact) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	aborted := make(chan time.Time, 1)
	go func() {
		for !s.saw("Install package build dependencies") && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
		aborted <- time.Now()
		cancel()
	}()
	source := s.source(t, nil, nil)
	_, err := doer.Do(ctx, sbuildJob(t, source.ID, environment.ID), s)
	cancel()
	if took := time.Since(<-aborted); !errors.Is(err, context.Canceled) || took > time.Minute { // a bound that a busy machine keeps too
		t.Errorf("got %v after %v", err, took)
	}
	if logs := s.all("debian:package-build-log"); len(logs) != 1 || !strings.Contains(s.text(t, logs[0]), "Update chroot") {
		t.Errorf("the log was not kept: %d", len(logs))
	}
}
