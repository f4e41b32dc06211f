package workeract

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine/api"
	"debusine/task"
)

// An image may name files of the machine that QEMU would open for it.
func TestAnImageStandsAlone(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("secret"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("short.qcow2"), []byte(qcow2Magic), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		create []string
		says   string
	}{
		"alone.qcow2":   {[]string{"-f", "qcow2", at("alone.qcow2"), "1M"}, ""},
		"old.qcow2":     {[]string{"-f", "qcow2", "-o", "compat=0.10", at("old.qcow2"), "1M"}, ""},
		"based.qcow2":   {[]string{"-f", "qcow2", "-b", at("secret"), "-F", "raw", at("based.qcow2")}, "based on another file"},
		"data.qcow2":    {[]string{"-f", "qcow2", "-o", "data_file=" + at("data"), at("data.qcow2"), "1M"}, "data in another file"},
		"foreign.qcow2": {[]string{"-f", "vmdk", at("foreign.qcow2"), "1M"}, "is not qcow2"},
		"short.qcow2":   {nil, "no head"},
	} {
		if c.create != nil {
			said, err := exec.Command("qemu-img", append([]string{"create", "-q"}, c.create...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: qemu-img: %v: %s; hint: install qemu-utils", name, err, said)
			}
		}
		err := standsAlone(at(name))
		if c.says == "" && err != nil || c.says != "" && (err == nil || !isUnusable(err) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Also under the other name that a qcow2 image may have.
func TestAnImageIsLookedAtBeforeItIsUsed(t *testing.T) {
	head := make([]byte, qcow2Head)
	copy(head, qcow2Magic+"\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x01")
	for _, name := range []string{"system.qcow2", "system.img"} {
		a, _ := newAttempt(t)
		var err error
		if a.Doer.cache, err = openCache(t.TempDir()); err != nil {
			t.Fatal(err)
		}
		a.server = &downloads{content: string(head)}
		artifact := tarball(3, string(head))
		artifact.Files = map[string]api.File{name: artifact.Files["system.tar.zst"]}
		s := &sbuild{data: &task.SbuildData{Backend: "qemu"}}
		if err := s.fetchWhole(t.Context(), a, artifact, "efi"); !isUnusable(err) || !strings.Contains(err.Error(), "based on another file") {
			t.Errorf("%s: %v", name, err)
		}
		for _, release := range a.atEnd {
			release()
		}
	}
}

func TestARawImageIsRaw(t *testing.T) {
	dir := t.TempDir()
	for name, command := range map[string]string{"good": "truncate --size 1M good", "qcow2": "qemu-img create -q -f qcow2 qcow2 1M", "link": "ln -s good link", "none": "true"} {
		make := exec.Command("sh", "-ec", command)
		make.Dir = dir
		if said, err := make.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s; hint: install qemu-utils", name, err, said)
		}
	}
	for _, name := range []string{"good", "qcow2", "link", "none"} {
		said, err := exec.Command("sh", "-c", isRaw, "sh", filepath.Join(dir, name)).CombinedOutput()
		if (err == nil) != (name == "good") || err != nil && !strings.Contains(string(said), "is no raw image") {
			t.Errorf("%s: %v: %s", name, err, said)
		}
	}
}
