package executor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine/executor"
	"debusine/executor/executortest"
)

// layered opens a machine and makes two layers, as the subordinate ids of the
// first build user, in a folder that only root can enter.
func layered(t *testing.T) (m *executor.Machine, layers []string) {
	t.Helper()
	needRoot(t)
	m = executortest.Open(t)
	if err := m.Layered(); err != nil {
		t.Skip("no layers here: ", err)
	}
	f := executortest.NewFolder(t, m)
	closed := filepath.Join(m.Dir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"top", "base"} {
		tree, err := f.NewTree(name)
		if err != nil {
			t.Fatal(err)
		}
		ran, said := runAs(t, m, f, nil, f.AsRoot("sh", "-ec", `cd "$1"; mkdir -p d; echo "$2" > d/which; echo x > "d/only-$2"; chown 7:8 "d/only-$2"; cp /bin/id d/; chmod 4755 d/id`, "sh", tree, name)...)
		if !ran.Succeeded() {
			t.Fatalf("making a layer: %+v\n%s", ran, said)
		}
		layers = append(layers, filepath.Join(closed, name))
		if err := os.Rename(tree, layers[len(layers)-1]); err != nil {
			t.Fatal(err)
		}
	}
	return m, layers
}

func runAs(t *testing.T, m *executor.Machine, f *executor.Folder, layers []string, argv ...string) (executor.Result, string) {
	t.Helper()
	folder, err := os.MkdirTemp(f.Path, "run-")
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(folder, "output")
	ran, err := m.Run(t.Context(), executor.Command{Argv: argv, Folder: f, Layers: layers, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return ran, string(said)
}

func TestLayersAreTheJobsOwnAndChangeNothing(t *testing.T) {
	m, layers := layered(t)
	executortest.NewFolder(t, m) // another user than the one that made the layers
	f := executortest.NewFolder(t, m)
	script := `cd "$1/d"; stat -c '%n %u:%g %a' which only-top only-base id; cat which; echo changed > which; rm only-base; echo new > new; chown 1:1 only-top; sync; ls`
	ran, said := runAs(t, m, f, layers, f.AsRoot("sh", "-ec", script, "sh", f.Root())...)
	want := "which 0:0 644\nonly-top 7:8 644\nonly-base 7:8 644\nid 0:0 4755\ntop\nid\nnew\nonly-top\nwhich\n"
	if !ran.Succeeded() || said != want {
		t.Fatalf("%+v\n%s", ran, said)
	}
	for name, want := range map[string]string{"top/d/which": "top\n", "base/d/only-base": "x\n"} {
		if got, err := os.ReadFile(filepath.Join(filepath.Dir(layers[0]), name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(layers[0], "d", "new")); err == nil {
		t.Error("a layer was written to")
	}
	if ran.Disk == 0 {
		t.Error("what the job changed was not counted")
	}
	// The next job sees nothing of it, also one in the same folder.
	if _, said := runAs(t, m, f, layers, f.AsRoot("sh", "-c", `cd "$1/d"; cat which; ls`, "sh", f.Root())...); said != "top\nid\nonly-base\nonly-top\nwhich\n" {
		t.Errorf("the next one sees %q", said)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
}

func TestLayersAreOutOfReach(t *testing.T) {
	m, layers := layered(t)
	f := executortest.NewFolder(t, m)
	attacks := map[string]string{
		"entering the folder of layers":            `cd "$2"`,
		"reading what was changed on disk":         `ls "$1"/../layers-*/upper`,
		"writing to a layer":                       `echo x > "$2/d/which"`,
		"making a device":                          `mknod "$1/null" c 1 3`,
		"uncovering what the sum is mounted on":    `umount "$1" && test ! -e "$1/d"`,
		"mounting it writable from the layer":      `mount -o bind "$2" /mnt`,
		"a setuid program makes root of the world": `test "$("$1/d/id" -u)" = 0 && test "$(cut -d' ' -f1-3 /proc/self/uid_map | tr -d ' ')" = 000`,
	}
	for name, attack := range attacks {
		for who, argv := range map[string][]string{"as the build user": {"sh", "-ec", attack, "sh", f.Root(), layers[1]},
			"as root of a namespace": f.AsRoot("sh", "-ec", attack, "sh", f.Root(), layers[1])} {
			if ran, said := runAs(t, m, f, layers, argv...); ran.Succeeded() {
				t.Errorf("%s, %s: it worked: %s", name, who, said)
			}
		}
	}
	if ran, said := runAs(t, m, f, layers, "sh", "-c", `exec "$0/d/id" -u`, f.Root()); strings.TrimSpace(said) == "0" {
		t.Errorf("a setuid program of a layer runs as the machine's root: %+v", ran)
	}
}

func TestDeletedFilesInLayersCountAsDisk(t *testing.T) {
	m, layers := layered(t)
	f := executortest.NewFolder(t, m)
	ran, err := m.Run(t.Context(), executor.Command{Folder: f, Layers: layers, Output: filepath.Join(f.Path, "output"), Limits: executor.Limits{Disk: 8 << 20}, Limit: time.Minute,
		Argv: f.AsRoot("sh", "-c", `exec 7> "$1/open"; rm "$1/open"; dd if=/dev/zero bs=1M count=64 >&7; sleep 60`, "sh", f.Root())})
	if err != nil || ran.Struck != executor.Disk {
		t.Errorf("%+v, %v", ran, err)
	}
}

func TestLayersWithoutRootAreRefused(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("we are root")
	}
	m := executortest.Open(t)
	f := executortest.NewFolder(t, m)
	_, err := m.Run(t.Context(), executor.Command{Argv: []string{"true"}, Folder: f, Layers: []string{f.Work}, Output: filepath.Join(f.Path, "output")})
	if m.Layered() == nil || err == nil || !strings.Contains(err.Error(), "layers") {
		t.Errorf("%v, %v", m.Layered(), err)
	}
}

func TestLayersThatAJobHasNotMadeAreNotItsDisk(t *testing.T) {
	m, layers := layered(t)
	large := filepath.Join(layers[1], "large")
	if err := os.WriteFile(large, make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if ran, _ := runAs(t, m, executortest.NewFolder(t, m), layers, "true"); ran.Disk > 4<<20 {
		t.Errorf("a job that did nothing took %d bytes", ran.Disk)
	}
}
