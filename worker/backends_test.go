package worker

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine/executor"
	"debusine/executor/executortest"
	"debusine/task"
)

func TestBackendsAreThoseThatTasksKnow(t *testing.T) {
	if !slices.Equal(executor.BackendNames(), task.Backends()) {
		t.Errorf("machines know %q, tasks %q", executor.BackendNames(), task.Backends())
	}
	for _, b := range executor.Backends() {
		data := task.SbuildData{Backend: b.Name, BuildArchitecture: "amd64"}
		if need := data.EnvironmentNeed(); (need.Environment.Format == "image") != b.Image {
			t.Errorf("%s: tasks want a %s", b.Name, need.Environment.Format)
		}
	}
}

func TestWantedBackends(t *testing.T) {
	for list, want := range map[string]string{
		"":                  "qemu schroot unshare",
		"unshare":           "unshare",
		"schroot, incus-vm": "schroot incus-vm",
		"docker":            "--backends: there is no backend \"docker\"; hint: incus-lxc, incus-vm, qemu, schroot, unshare",
		",":                 "--backends names none",
	} {
		wanted, err := wantedBackends(list)
		got := ""
		for _, b := range wanted {
			got += " " + b.Name
		}
		if err != nil {
			got = err.Error()
		}
		if got = strings.TrimSpace(got); !strings.HasPrefix(got, want) || want == "" {
			t.Errorf("%q: %s", list, got)
		}
	}
}

func TestABackendThatIsMissingIsATagThatIsMissing(t *testing.T) {
	box := executortest.Open(t)
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	all := executor.Backends()
	t.Setenv("PATH", emptyButFor(t, "unshare"))
	offers := findBackends(t.Context(), box, all, true, log)
	tags, facts := tagsOf(offers)
	if !slices.Equal(tags, []string{"worker:executor:unshare"}) || len(facts) != len(all) {
		t.Errorf("tags %q, facts %q", tags, facts)
	}
	for name, want := range map[string]string{"unshare": "yes", "schroot": "no: the program schroot is missing; hint: install the package schroot",
		"qemu": "no: the program autopkgtest-virt-qemu is missing", "incus-lxc": "no: the program autopkgtest-virt-incus is missing"} {
		if !strings.HasPrefix(facts[name], want) {
			t.Errorf("%s: %q", name, facts[name])
		}
	}
	if !strings.Contains(said.String(), "does not offer a backend that --backends names") || !strings.Contains(said.String(), "backend=schroot") {
		t.Errorf("the log: %s", &said)
	}
	_, facts = tagsOf(findBackends(t.Context(), box, nil, false, log))
	if facts["unshare"] != "no: not among --backends" {
		t.Errorf("what is not wanted: %q", facts)
	}
}

// emptyButFor is a folder of programs that has only one.
func emptyButFor(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join("/usr/bin", program), filepath.Join(dir, program)); err != nil {
		t.Fatal(err)
	}
	return dir
}
