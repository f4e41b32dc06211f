package workeract

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/executor"
	"debusine/task"
)

// bootstrapped is a bootstrap whose command has ended, with what its hook said.
func bootstrapped(t *testing.T, a *attempt, suite, facts string) *mmdebstrap {
	t.Helper()
	m := &mmdebstrap{
		data: &task.MmdebstrapData{BootstrapOptions: task.BootstrapOptions{Architecture: "amd64", Variant: "buildd"}},
		repos: []repository{
			{BootstrapRepository: task.BootstrapRepository{Mirror: "http://mirror.example/debian", Suite: suite}, components: []string{"main", "contrib"}},
			{BootstrapRepository: task.BootstrapRepository{Mirror: "http://other.example/debian", Suite: suite + "-updates"}, components: []string{"main", "extra"}},
		},
		facts: filepath.Join(a.folder.Work, "facts"), tar: filepath.Join(a.folder.Work, tarName),
	}
	leave(t, a, m.facts, facts)
	leave(t, a, m.tar, "tar")
	return m
}

func TestTarballDescribesItself(t *testing.T) {
	tests := []struct{ name, suite, facts, vendor, codename string }{
		{"a release", "bookworm", "ID=debian\nVERSION_CODENAME=bookworm\nii  dpkg 1.21\n", "debian", "bookworm"},
		{"a release by its role", "stable", "ID=debian\nVERSION_CODENAME=trixie\n", "debian", "trixie"},
		{"unstable, which has the next release's name", "unstable", "ID=debian\nVERSION_CODENAME=forky\n", "debian", "sid"},
		{"a system without a codename", "rolling", "ID=other\n", "other", "rolling"},
		{"security, without a word of itself", "trixie/updates", "", "unknown", "trixie"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			data, err := bootstrapped(t, a, test.suite, test.facts).describe()
			if err != nil || data.Vendor != test.vendor || data.Codename != test.codename {
				t.Errorf("got %+v, %v", data, err)
			}
			if got := strings.Join(data.Components, " "); got != "main contrib extra" || data.Variant != "buildd" || data.Mirror != "http://mirror.example/debian" {
				t.Errorf("components %q of %+v", got, data)
			}
		})
	}
}

func TestBootstrapIsJudged(t *testing.T) {
	tests := []struct {
		name   string
		ran    executor.Result
		bend   func(*mmdebstrap)
		result debusine.Result
		code   string
		made   string
		err    string
	}{
		{"a success is stored", executor.Result{}, nil, debusine.Success, "", "debian:system-tarball", ""},
		{"an exit code is a failure", executor.Result{ExitCode: 25}, nil, debusine.Failure, "bootstrap-failed", "", ""},
		{"a mirror that is away is a temporary one", executor.Result{ExitCode: 25}, func(m *mmdebstrap) {
			os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(m.tar)), "cmd-output.log"), []byte(refusedPackage), 0o644)
		}, debusine.TemporaryFailure, "mirror-failed", "", ""},
		{"a time limit has been told", executor.Result{Struck: executor.Time, TimedOut: true}, nil, debusine.Failure, "", "", ""},
		{"facts that are a link are refused", executor.Result{}, func(m *mmdebstrap) {
			os.Remove(m.facts)
			os.Symlink("/etc/shadow", m.facts)
		}, "", "", "", "left no facts"},
		{"a tarball that is a link is refused", executor.Result{}, func(m *mmdebstrap) {
			os.Remove(m.tar)
			os.Symlink("/etc/shadow", m.tar)
		}, "", "", "", "not a plain file"},
		{"no tarball is no success", executor.Result{}, func(m *mmdebstrap) { os.Remove(m.tar) }, "", "", "", "did not leave"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			server := &recorder{}
			a.server = server
			if err := os.WriteFile(a.logPath(), []byte("E: no such suite\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			m := bootstrapped(t, a, "trixie", "ID=debian\n")
			if test.bend != nil {
				test.bend(m)
			}
			result, err := m.teardown(t.Context(), a, test.ran)
			if result != test.result || (err == nil) != (test.err == "") || err != nil && (!isUnusable(err) || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("got %q, %v", result, err)
			}
			if made := strings.Join(server.made, " "); made != test.made {
				t.Errorf("made %q", made)
			}
			if code := codeOf(a.errors); code != test.code {
				t.Errorf("errors %+v", a.errors)
			}
		})
	}
}

func codeOf(errors []debusine.TaskError) string {
	if len(errors) == 0 {
		return ""
	}
	return errors[0].Code
}

func TestKeyringOfTheMachine(t *testing.T) {
	a, _ := newAttempt(t)
	found, _ := filepath.Glob("/usr/share/keyrings/*.gpg")
	if len(found) == 0 {
		t.Skip("no keyring here")
	}
	r := &repository{BootstrapRepository: task.BootstrapRepository{Keyring: &task.Keyring{URL: "file://" + found[0]}}}
	if err := r.fetchKey(t.Context(), a, 2); err != nil {
		t.Fatal(err)
	}
	if r.key != filepath.Join(a.folder.Path, "debusine-2.gpg") || r.keyInside != "/etc/apt/keyrings/debusine-2.gpg" {
		t.Errorf("got %+v", r)
	}
	r.Keyring = &task.Keyring{URL: "file:///usr/share/keyrings/no-such-keyring.gpg"}
	if err := r.fetchKey(t.Context(), a, 3); err == nil || !isUnusable(err) {
		t.Errorf("a keyring that is not there: %v", err)
	}
}

// cutOff is a server whose downloads break in the middle.
type cutOff struct{ Server }

func (cutOff) Download(_ context.Context, _ int64, _ string, to *os.File) error {
	_, _ = to.WriteString("ta")
	return errors.New("the line is cut")
}

func TestEnvironmentThatDoesNotComeLeavesNothing(t *testing.T) {
	state := t.TempDir()
	c, err := openCache(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.environment(t.Context(), cutOff{}, tarball(3, "tar")); err == nil || isUnusable(err) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	// A worker killed in a download leaves a part, which the next start removes.
	part := filepath.Join(c.dir, "3.tar.zst.part77")
	if err := os.WriteFile(part, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openCache(state); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part); err == nil {
		t.Error("the part is still there")
	}
}

func TestEnvironmentMustBeOneTarball(t *testing.T) {
	for name, files := range map[string][]string{
		"none": nil, "two": {"a.tar.xz", "b.tar.xz"}, "an image": {"image.qcow2"}, "an unknown compression": {"a.tar.br"},
	} {
		a := api.Artifact{ID: 3, Files: map[string]api.File{}}
		for _, file := range files {
			a.Files[file] = api.File{}
		}
		if _, _, err := onlyTarball(a); err == nil || !isUnusable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
