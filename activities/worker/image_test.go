package workeract

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
