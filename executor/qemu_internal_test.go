package executor

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMemoryOfVirtualMachines(t *testing.T) {
	usual := DefaultLimits()
	limited := func(memory int64) Limits { return Limits{Memory: memory} }
	for name, c := range map[string]struct {
		machine, job Limits
		want         int64
	}{
		"nobody has said":           {usual, Limits{}, min(guestMemory, usual.Memory) / 8 * 7},
		"only the disk was said":    {Limits{Memory: usual.Memory, Disk: 1 << 40}, Limits{}, min(guestMemory, usual.Memory) / 8 * 7},
		"an administrator has said": {limited(16 << 30), Limits{}, 14 << 30},
		"less than is usual":        {limited(1 << 30), Limits{}, 896 << 20},
		"the job's is the one":      {limited(16 << 30), limited(8 << 30), 7 << 30},
		"there is to be no limit":   {limited(-1), Limits{}, min(guestMemory, usual.Memory) / 8 * 7},
		"no limit for this job":     {limited(16 << 30), limited(-1), min(guestMemory, usual.Memory) / 8 * 7},
	} {
		m := &Machine{config: Config{Limits: c.machine}}
		if got := m.guestMemory(c.job); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

func TestTheEmulatorIsQEMUWithoutKVM(t *testing.T) {
	f := &Folder{Path: t.TempDir()}
	for range 2 {
		if _, err := writeEmulator(f); err != nil {
			t.Fatal(err)
		}
	}
	path, _ := writeEmulator(f)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "qemu-system-"+qemuArchitecture("amd64")), []byte("#!/bin/sh\nprintf '%s|' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	script = []byte(strings.ReplaceAll(string(script), "qemu-system-"+qemuArchitecture(runtime.GOARCH), "qemu-system-x86_64"))
	cmd := exec.Command("sh", "-c", string(script), "sh", "-m", "1 G", "-enable-kvm", "-net", "a b", "-cpu", "max")
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	if said, err := cmd.CombinedOutput(); err != nil || string(said) != "-m|1 G|-net|a b|-cpu|max|" {
		t.Errorf("%v: %s", err, said)
	}
}

func TestOneCommandAfterTheOther(t *testing.T) {
	many := append([]string{"sh", "-c", `printf '%s,' "$@"`, "sh"}, strings.Split("a b c d e f g h i j k $(id) 'q", " ")...)
	run := func(first, second []string) (string, int) {
		argv := InTurn(first, second)
		cmd := exec.Command(argv[0], argv[1:]...)
		said, _ := cmd.CombinedOutput()
		return string(said), cmd.ProcessState.ExitCode()
	}
	if said, code := run(many, []string{"sh", "-c", `echo "then $1"; exit 7`, "sh", "x y"}); said != "a,b,c,d,e,f,g,h,i,j,k,$(id),'q,then x y\n" || code != 7 {
		t.Errorf("%d, %q", code, said)
	}
	if said, code := run([]string{"sh", "-c", "exit 3"}, []string{"echo", "never"}); said != "" || code != 3 {
		t.Errorf("%d, %q", code, said)
	}
}

func TestGroupsOfJobs(t *testing.T) {
	for name, want := range map[string]string{"no-such-group": "--clear-groups", "tty": "--groups=5"} {
		if got := groupsOption([]string{name}); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := groupsOption(nil); got != "--clear-groups" {
		t.Errorf("none: %s", got)
	}
}

func TestServersOfIncus(t *testing.T) {
	for name, want := range map[string]string{"incus-lxc": "autopkgtest-virt-incus debusine-1", "incus-vm": "autopkgtest-virt-incus --vm debusine-1"} {
		b, err := BackendNamed(name)
		if got := strings.Join(IncusServer(b, "debusine-1"), " "); err != nil || got != want || !b.Asked {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// The image goes however the command ends, also when it is told to.
func TestAnImageOfIncusIsTakenAwayAgain(t *testing.T) {
	bin, work := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "incus"), []byte("#!/bin/sh\necho incus \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	metadata := filepath.Join(work, "metadata.yaml")
	if err := os.WriteFile(metadata, []byte("architecture: x86_64\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	argv := (&Folder{Work: work}).WithIncusImage(metadata, "/cache/3.tar.xz", "debusine-WR-1", "sh", "-c", "echo builds; exit 5")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	said, _ := cmd.CombinedOutput()
	want := []string{"incus image import " + filepath.Join(work, "metadata.tar") + " /cache/3.tar.xz --alias debusine-WR-1", "builds", "incus image delete debusine-WR-1", ""}
	if lines := strings.Split(string(said), "\n"); !slices.Equal(lines, want) || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("%d, %q", cmd.ProcessState.ExitCode(), lines)
	}
}

func TestWhatAJobHasMadeIsReadAsAPlainFile(t *testing.T) {
	dir := t.TempDir()
	plain, link, large := filepath.Join(dir, "plain"), filepath.Join(dir, "link"), filepath.Join(dir, "large")
	for path, text := range map[string]string{plain: "words", large: strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if text, err := readPlain(plain); err != nil || string(text) != "words" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := readPlain(large); err != nil || len(text) != 64<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	for _, path := range []string{link, dir, filepath.Join(dir, "none")} {
		if text, err := readPlain(path); err == nil {
			t.Errorf("%s: %q", path, text)
		}
	}
}
