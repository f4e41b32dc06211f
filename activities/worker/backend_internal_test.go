package workeract

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine/api"
	"debusine/task"
)

func TestSbuildInEachBackend(t *testing.T) {
	tests := []struct {
		backend string
		image   image
		want    []string // words of the command line
		devices string   // KVM or nothing
		groups  string
	}{
		{"unshare", image{}, []string{"--chroot-mode=unshare", "--chroot=/cache/3.tar.zst", "--chroot-setup-commands=rm -f /etc/resolv.conf"}, "", ""},
		{"schroot", image{}, []string{"--chroot-mode=schroot", "--chroot=debusine", "/cache/3.tar.zst", "--setuid=0"}, "", ""},
		{"qemu", image{path: "/cache/3%.qcow2", boot: "efi"}, []string{"--chroot-mode=autopkgtest", "--autopkgtest-virt-server=/usr/bin/unshare", "--autopkgtest-virt-server-opt=autopkgtest-virt-qemu",
			"--autopkgtest-virt-server-opt=--boot=efi", "--autopkgtest-virt-server-opt=/cache/3%%.qcow2", "TMPDIR=/tmp"}, "maybe", ""},
		{"qemu", image{path: "/cache/3.tar.xz", packed: true, boot: "bios"}, []string{"--autopkgtest-virt-server-opt=--boot=bios", "tar", "/cache/3.tar.xz", "root.img"}, "maybe", ""},
		{"incus-lxc", image{}, []string{"--autopkgtest-virt-server=autopkgtest-virt-incus", "/cache/3.tar.zst"}, "", "incus-admin"},
		{"incus-vm", image{path: "/cache/3.qcow2"}, []string{"--autopkgtest-virt-server=autopkgtest-virt-incus", "--autopkgtest-virt-server-opt=--vm", "/cache/3.qcow2"}, "", "incus-admin"},
	}
	for _, test := range tests {
		t.Run(test.backend, func(t *testing.T) {
			a, build := newAttempt(t)
			if err := os.Remove(build); err != nil {
				t.Fatal(err)
			}
			s := &sbuild{data: &task.SbuildData{Backend: test.backend, BuildArchitecture: "amd64", BuildComponents: []string{"any"}}, base: 3,
				dsc: "/in/hello.dsc", tarball: "/cache/3.tar.zst", image: test.image, codename: "trixie"}
			c, err := s.command(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range append(test.want, "--dist=trixie", "/in/hello.dsc") {
				if !slices.Contains(c.Argv, word) {
					t.Errorf("%s is missing in %q", word, c.Argv)
				}
			}
			if hides := slices.Contains(c.Argv, "--chroot-setup-commands=rm -f /etc/resolv.conf"); hides != (test.backend == "unshare") {
				t.Error("the name server of the system goes")
			}
			if given := strings.Join(c.Devices, " "); given != "" && (test.devices == "" || given != "/dev/kvm") || strings.Join(c.Groups, " ") != test.groups {
				t.Errorf("devices %q, groups %q", c.Devices, c.Groups)
			}
			if !strings.HasPrefix(s.buildFiles, a.folder.Work+"/") {
				t.Errorf("it leaves its files in %s", s.buildFiles)
			}
		})
	}
}

func TestIncusTakesNoRawImage(t *testing.T) {
	a, _ := newAttempt(t)
	s := &sbuild{data: &task.SbuildData{Backend: "incus-vm"}, image: image{path: "/cache/3.tar.xz", packed: true}}
	if _, err := s.command(a); !isUnusable(err) {
		t.Errorf("%v", err)
	}
}

func TestOneImageOfADisk(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		ok    bool
	}{
		"qcow2":           {[]string{"system.qcow2"}, true},
		"raw in a tar":    {[]string{"system.tar.xz"}, true},
		"a tarball":       {[]string{"system.tar.zst"}, false},
		"two":             {[]string{"a.qcow2", "b.qcow2"}, false},
		"none":            {nil, false},
		"another program": {[]string{"x.vmdk"}, false},
	} {
		files := map[string]api.File{}
		for _, file := range c.files {
			files[file] = api.File{}
		}
		if _, _, err := onlyImage(api.Artifact{ID: 3, Files: files}); (err == nil) != c.ok || err != nil && !isUnusable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestImagesAreKeptAsTarballsAre(t *testing.T) {
	c, err := openCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := &downloads{content: "an image"}
	artifact := tarball(3, "an image")
	artifact.Files = map[string]api.File{"system.qcow2": artifact.Files["system.tar.zst"]}
	for range 2 {
		path, release, err := c.image(t.Context(), server, artifact)
		if err != nil || filepath.Base(path) != "3.qcow2" {
			t.Fatalf("%s, %v", path, err)
		}
		release()
	}
	if server.count != 1 {
		t.Errorf("fetched %d times", server.count)
	}
	if _, _, err := c.environment(t.Context(), server, artifact); !isUnusable(err) {
		t.Errorf("as a tarball: %v", err)
	}
}
