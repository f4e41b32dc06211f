package workeract_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/executor"
	"debusine/executor/executortest"
)

// systemImage makes an image with our own code, or takes the one that
// DEBUSINE_TEST_IMAGE names.
func systemImage(t *testing.T, doer *workeract.Doer, s *shelf) api.Artifact {
	t.Helper()
	url, suite := mirror(t)
	if path := os.Getenv("DEBUSINE_TEST_IMAGE"); path != "" {
		id, err := s.CreateArtifact(t.Context(), debusine.CategorySystemImage, debusine.SystemImageData{SystemTarballData: debusine.SystemTarballData{
			Filename: "image.qcow2", Vendor: "debian", Codename: suite, Mirror: url, Architecture: "amd64", Components: []string{"main"}, Pkglist: map[string]string{}},
			ImageFormat: "qcow2", Filesystem: "ext4", Size: 4 << 30, BootMechanism: "efi"}, map[string]string{"image.qcow2": path})
		if err != nil {
			t.Fatal(err)
		}
		return s.artifacts[id]
	}
	for _, tool := range workeract.ImageTools() {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	start := time.Now()
	outcome, err := doer.Do(t.Context(), job(t, "simplesystemimagebuild", object{
		"bootstrap_options":      object{"architecture": "amd64", "variant": "buildd", "extra_packages": []string{"fakeroot"}},
		"bootstrap_repositories": []object{{"mirror": url, "suite": suite}},
		"disk_image":             object{"format": "qcow2", "partitions": []object{{"size": 4, "filesystem": "ext4", "mountpoint": "/"}}},
	}, nil), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("the image: %+v, %v\n%s", outcome, err, s.log)
	}
	t.Logf("the image took %v: %+v", time.Since(start), *outcome.OutputData.RuntimeStatistics)
	images := s.all(debusine.CategorySystemImage)
	if len(images) != 1 {
		t.Fatalf("%d images", len(images))
	}
	return images[0]
}

func TestAVirtualMachine(t *testing.T) {
	doer, s := newDoer(t), newShelf(t)
	image := systemImage(t, doer, s)
	t.Run("its image says what is in it", func(t *testing.T) {
		if os.Getenv("DEBUSINE_TEST_IMAGE") != "" {
			t.Skip("not made here")
		}
		var data debusine.SystemImageData
		if err := json.Unmarshal(image.Data, &data); err != nil {
			t.Fatal(err)
		}
		if data.ImageFormat != "qcow2" || data.BootMechanism != "efi" || data.Filesystem != "ext4" || data.Size < 4e9 || !data.WithInit || data.WithDev ||
			data.Codename == "" || data.Pkglist["linux-image-amd64"] == "" || data.Pkglist["fakeroot"] == "" || data.Filename != "image.qcow2" {
			t.Errorf("got %.2000s", image.Data)
		}
		said, err := exec.Command("qemu-img", "info", "--output=json", s.path(image.ID, data.Filename)).Output()
		if err != nil || !strings.Contains(string(said), `"format": "qcow2"`) {
			t.Errorf("%v: %s", err, said)
		}
	})
	t.Run("it keeps the contract", func(t *testing.T) { keepsTheContract(t, s, image) })
	t.Run("it builds a package", func(t *testing.T) { buildsInAVirtualMachine(t, doer, s.beside(t, image), image) })
}

// mayBoot skips a test where the processor has to be emulated, since each boot
// takes a minute then, unless who runs it sets DEBUSINE_TEST_EMULATED.
func mayBoot(t *testing.T) (m *executor.Machine, qemu executor.Backend) {
	t.Helper()
	m, qemu = offering(t, "qemu")
	if slow := m.KVM(); slow != nil && os.Getenv("DEBUSINE_TEST_EMULATED") == "" {
		t.Skip(slow)
	}
	return m, qemu
}

// keepsTheContract runs the suites of package executortest in virtual machines.
func keepsTheContract(t *testing.T, s *shelf, image api.Artifact) {
	m, qemu := mayBoot(t)
	path := filepath.Join(m.Dir(), "image.qcow2")
	if _, err := copyFile(path, s.path(image.ID, "image.qcow2")); err != nil {
		t.Fatal(err)
	}
	bed := executortest.Testbed{Runner: &executor.Testbed{Machine: m, Backend: qemu, Image: path, Boot: "efi"}, Guest: true, Opening: 20 * time.Second}
	if m.KVM() != nil {
		bed.Opening = 2 * time.Minute
	}
	t.Run("the contract", func(t *testing.T) { executortest.Contract(t, bed) })
	t.Run("escape", func(t *testing.T) { executortest.Escape(t, bed) })
}

func buildsInAVirtualMachine(t *testing.T, doer *workeract.Doer, s *shelf, image api.Artifact) {
	mayBoot(t)
	source := s.source(t, tree{"debian/rules": rules(`echo "kernel $$(uname -r) on $$(systemd-detect-virt)"`)}, nil)
	start := time.Now()
	outcome, err := doer.Do(t.Context(), inBackend(t, "qemu", source.ID, image.ID), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("%+v, %v\n%s", outcome, err, s.log)
	}
	t.Logf("build took %v: %+v", time.Since(start), *outcome.OutputData.RuntimeStatistics)
	own, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if log := string(s.log); err != nil || !strings.Contains(log, "\nkernel ") || strings.Contains(log, "\nkernel "+strings.TrimSpace(string(own))+" ") {
		t.Errorf("the log: %s", log)
	}
	if debs := s.all("debian:binary-package"); len(debs) != 1 || len(s.all("debian:upload")) != 1 {
		t.Errorf("packages %v", debs)
	}
}
