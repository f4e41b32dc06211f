package endtoend

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/debian"
	"debusine/sign/signtest"
)

// mirror is the main mirror and suite of this machine's own apt.
func mirror(t *testing.T) (address, codename string) {
	t.Helper()
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Component: main").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) == 2 && !strings.Contains(line, "security") && !strings.ContainsAny(words[1], "-") {
			return words[0], words[1]
		}
	}
	t.Fatal("apt knows no main mirror; hint: apt-get update")
	return "", ""
}

// environment makes a build environment by the platform's own means, once.
func (h *house) environment(t *testing.T, c *client.Client) (codename string) {
	t.Helper()
	address, codename := mirror(t)
	for range c.Items(t.Context(), "System", "debian:environments", "debian", false) {
		return codename
	}
	targets := fmt.Sprintf(`[{"codenames": %q, "architectures": ["amd64"], "mmdebstrap_template": {"bootstrap_options": {"variant": "buildd", "extra_packages": ["fakeroot"]},
		"bootstrap_repositories": [{"mirror": %q, "components": ["main"]}]}}]`, codename, address)
	w, err := c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "update_environments", Workspace: "System",
		TaskData: map[string]json.RawMessage{"vendor": json.RawMessage(`"debian"`), "targets": json.RawMessage(targets)}})
	if err != nil {
		t.Fatal(err)
	}
	if w = until(t, c, w.ID, 25*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("no environment: %s %s", w.Result, w.OutputData)
	}
	return codename
}

// source makes a source package whose build runs the script, and imports it.
func source(t *testing.T, c *client.Client, name, script string) int64 {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	tree(t, dir, name, script)
	return packed(t, c, dir)
}

// packed makes a source package, version 1.0, of the tree in a folder of its name,
// and imports it.
func packed(t *testing.T, c *client.Client, dir string) int64 {
	t.Helper()
	build := exec.Command("dpkg-source", "--build", filepath.Base(dir))
	build.Dir = filepath.Dir(dir)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-source: %v\n%s", err, out)
	}
	return importSource(t, c, dir+"_1.0.dsc")
}

// tree writes a source tree whose build runs the script.
func tree(t *testing.T, dir, name, script string) {
	t.Helper()
	write(t, dir, map[string]string{
		"debian/source/format": "3.0 (native)\n",
		"debian/changelog":     name + " (1.0) unstable; urgency=low\n\n  * For a test.\n\n -- Nobody <nobody@example.org>  Sat, 21 Nov 2026 12:00:00 +0000\n",
		"debian/control": "Source: " + name + "\nSection: misc\nPriority: optional\nMaintainer: Nobody <nobody@example.org>\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\n" +
			"Package: " + name + "\nArchitecture: any\nDescription: for a test\n Nothing else.\n",
		"debian/rules": "#!/usr/bin/make -f\nclean:\nbuild build-arch build-indep:\n\tsh -e debian/script\nbinary-indep:\nbinary binary-arch: build\n" +
			"\tmkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/" + name + "\n\techo built > debian/tmp/usr/share/" + name + "/it\n" +
			"\tdpkg-gencontrol -p" + name + "\n\tdpkg-deb --build debian/tmp ..\n",
		"debian/script": script + "\n",
	})
}

// write puts texts into a folder, by path; each may be run.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func importSource(t *testing.T, c *client.Client, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dsc, err := debian.ParseDSC(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{filepath.Base(path): path}
	for _, file := range dsc.Files {
		files[file.Name] = filepath.Join(filepath.Dir(path), file.Name)
	}
	a, err := c.CreateArtifact(t.Context(), client.NewArtifact{Category: "debian:source-package", Workspace: "System", Files: files,
		Data: map[string]any{"name": dsc.Source, "version": dsc.Version.String(), "type": "dpkg", "dsc_fields": dsc.Fields()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// startBuild starts the sbuild workflow and gives the root and its one child.
func startBuild(t *testing.T, c *client.Client, artifact int64, codename string) (root, child int64) {
	t.Helper()
	w, err := c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "sbuild", Workspace: "System", TaskData: map[string]json.RawMessage{
		"input": json.RawMessage(fmt.Sprintf(`{"source_artifact": %d}`, artifact)), "architectures": json.RawMessage(`["amd64"]`),
		"target_distribution": json.RawMessage(`"debian:` + codename + `"`)}})
	if err != nil {
		t.Fatal(err)
	}
	return w.ID, onlyChild(t, c, w.ID)
}

// onlyChild waits until a workflow has planned its one child.
func onlyChild(t *testing.T, c *client.Client, root int64) int64 {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for one, err := range c.WorkRequests(t.Context(), client.WorkRequestFilter{Parent: root}) {
			if err == nil {
				return one.ID
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("workflow %d has no children", root)
	return 0
}

// made counts the artifacts of a work request by category.
func made(t *testing.T, c *client.Client, id int64) map[string]int {
	t.Helper()
	count := map[string]int{}
	for a, err := range c.Artifacts(t.Context(), client.ArtifactFilter{WorkRequest: id}) {
		if err != nil {
			t.Fatal(err)
		}
		count[a.Category]++
	}
	return count
}

// inTheLog waits until the live log of a work request has the words.
func inTheLog(t *testing.T, c *client.Client, id int64, words string) {
	t.Helper()
	var log string
	deadline := time.Now().Add(10 * time.Minute)
	for time.Now().Before(deadline) {
		var err error
		if log, err = logOf(t, c, id); err == nil && strings.Contains(log, words) {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
	t.Fatalf("%q is not in the log of %d:\n%s", words, id, tail([]byte(log), 2000))
}

// processes counts those whose command line has the mark.
func processes(mark string) int {
	out, _ := exec.Command("pgrep", "-f", "-c", mark).Output()
	var n int
	fmt.Sscan(string(out), &n)
	return n
}

// Real builds, as many at once as make sense on two processors; then those in
// whose middle something dies, which would take the others with it.
func TestRealBuilds(t *testing.T) {
	h := houseOfOwn(t, true, "DEBUSINE_SIGNING_TRUSTED_CERTS="+signtest.TrustedCert)
	c := h.user(t)
	y := yard{house: h, c: c, machine: h.join(t, "builder", "amd64", 2), codename: h.environment(t, c)}
	t.Run("at once", func(t *testing.T) {
		t.Run("a package is built, its log is in the collection, and Temporal's Web UI shows it", y.builds)
		t.Run("a build that fails is a failure with its log, and not tried again", y.fails)
		t.Run("an abort ends the whole tree and keeps the log", y.aborts)
		t.Run("what a package's template names is signed, and built into a package that firmware boots", y.makesSignedSource)
	})
	t.Run("the server dies in the middle of a build, which ends all the same", y.losesItsServer)
	t.Run("the worker is killed in the middle of a build, which is done again, once", y.losesItsWorker)
}

// yard is where packages are built: an installation with a machine and an
// environment.
type yard struct {
	house    *house
	c        *client.Client
	machine  *machine
	codename string
}

func (y yard) builds(t *testing.T) {
	t.Parallel()
	root, link := y.house.startByHand(t, source(t, y.c, "fine", "echo all is well"), y.codename)
	child := onlyChild(t, y.c, root)
	if w := until(t, y.c, root, 15*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("ended with %q: %s", w.Result, w.OutputData)
	}
	got := made(t, y.c, child)
	if got["debian:package-build-log"] != 1 || got["debian:binary-package"] != 1 || got["debian:upload"] != 1 {
		t.Errorf("made %v", got)
	}
	keptLog(t, y.c, child, "artifact")
	y.house.webUIShows(t, root, link, y.codename)
}

func (y yard) fails(t *testing.T) {
	t.Parallel()
	root, child := startBuild(t, y.c, source(t, y.c, "broken", "echo 'Status: successful'; exit 3"), y.codename)
	if w := until(t, y.c, root, 15*time.Minute, "ended", ended); w.Result != "failure" {
		t.Fatalf("ended with %q: %s", w.Result, w.OutputData)
	}
	w := until(t, y.c, child, time.Second, "ended", ended)
	if got := made(t, y.c, child); got["debian:package-build-log"] != 1 || got["debian:upload"] != 0 || w.Attempt != 1 || w.Result != "failure" {
		t.Errorf("made %v in %d attempts, result %q", got, w.Attempt, w.Result)
	}
	keptLog(t, y.c, child, "artifact")
}

func (y yard) aborts(t *testing.T) {
	t.Parallel()
	root, child := startBuild(t, y.c, source(t, y.c, "endless", "setsid sleep 86413 & echo sleeping now; sleep 86412"), y.codename)
	inTheLog(t, y.c, child, "sleeping now")
	if processes("sleep 8641") == 0 {
		t.Error("the build's processes cannot be seen: the test would prove nothing")
	}
	if _, err := y.c.Abort(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for processes("sleep 8641") > 0 {
		if time.Now().After(deadline) {
			t.Fatal("processes of the build are left after 10 s")
		}
		time.Sleep(100 * time.Millisecond)
	}
	w := until(t, y.c, child, 20*time.Second, "aborted with its log", func(w api.WorkRequest) bool {
		return w.Status == "aborted" && made(t, y.c, w.ID)["debian:package-build-log"] == 1
	})
	if w.Result != "" {
		t.Errorf("result %q", w.Result)
	}
}

func (y yard) losesItsServer(t *testing.T) {
	root, child := startBuild(t, y.c, source(t, y.c, "steady", "echo half way; sleep 15; echo done"), y.codename)
	inTheLog(t, y.c, child, "half way")
	if err := y.house.Kill("server"); err != nil {
		t.Fatal(err)
	}
	if w := until(t, y.c, root, 15*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("ended with %q: %s", w.Result, w.OutputData)
	}
	if w := until(t, y.c, child, time.Second, "ended", ended); w.Attempt != 1 {
		t.Errorf("built in %d attempts", w.Attempt)
	}
}

func (y yard) losesItsWorker(t *testing.T) {
	root, child := startBuild(t, y.c, source(t, y.c, "stubborn", "echo half way; sleep 14; echo done"), y.codename)
	inTheLog(t, y.c, child, "half way")
	y.machine.kill()
	time.Sleep(time.Second)
	y.machine.start(t, 2)
	if w := until(t, y.c, root, 15*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("ended with %q: %s", w.Result, w.OutputData)
	}
	got := made(t, y.c, child)
	if w := until(t, y.c, child, time.Second, "ended", ended); w.Attempt != 2 || got["debian:upload"] != 1 || got["debian:binary-package"] != 1 {
		t.Errorf("built in %d attempts, made %v", w.Attempt, got)
	}
}

// keptLog says that the build log collection has an entry of the work request.
func keptLog(t *testing.T, c *client.Client, id int64, kind string) {
	t.Helper()
	n := 0
	for item, err := range c.Items(t.Context(), "System", "debian:package-build-logs", "_", false) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(item.Name, fmt.Sprintf("_%d", id)) && item.ChildType == kind {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the build log collection has %d entries of kind %s for work request %d", n, kind, id)
	}
}
