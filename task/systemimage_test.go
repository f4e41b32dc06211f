package task

import (
	"slices"
	"strings"
	"testing"
)

const goodImage = `{"bootstrap_options": {"architecture": "amd64", "variant": "buildd"}, "bootstrap_repositories": [{"mirror": "http://mirror/debian", "suite": "sid"}],
	"disk_image": {"format": "qcow2", "partitions": [{"size": 10, "filesystem": "ext4", "mountpoint": "/"}]}}`

func TestAnImageHasItsDefaults(t *testing.T) {
	d := parsed[*SystemImageBuildData](t, "simplesystemimagebuild", goodImage)
	if disk := d.DiskImage; disk.Filename != "image" || disk.KernelPackage != "linux-image-amd64" || disk.Bootloader != "systemd-boot" {
		t.Errorf("%+v", disk)
	}
	requires := d.Requires()
	for _, tag := range []string{"worker:cap:mmdebstrap", "worker:cap:system-image", "worker:build-arch:amd64", "worker:task:worker:simplesystemimagebuild:version:1"} {
		if !slices.Contains(requires, tag) {
			t.Errorf("requires %q", requires)
		}
	}
	if slices.Contains(requires, "worker:task:worker:mmdebstrap:version:1") || QueueName(requires, nil) != "build/amd64/simplesystemimagebuild" {
		t.Errorf("queue %s of %q", QueueName(requires, nil), requires)
	}
	if about := d.Describe(nil); about.Subject != "sid" || about.ParameterSummary != "sid amd64 qcow2" || about.RuntimeContext != "amd64:buildd::qcow2" {
		t.Errorf("%+v", about)
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"another format":             {`"qcow2"`, `"vmdk"`, "must be raw or qcow2"},
		"no format":                  {`"format": "qcow2", `, ``, "must be raw or qcow2"},
		"a name that leads outside":  {`"format"`, `"filename": "../x", "format"`, "not a plain file name"},
		"a hidden name":              {`"format"`, `"filename": ".x", "format"`, "not a plain file name"},
		"a kernel that is an option": {`"format"`, `"kernel_package": "--x", "format"`, "not a package name"},
		"another loader":             {`"format"`, `"bootloader": "grub", "format"`, "is not supported"},
		"an architecture":            {`"amd64"`, `"riscv64"`, "no disk is made"},
		"a variant":                  {`"buildd"`, `"custom"`, "buildd or minbase"},
		"no partition":               {`[{"size": 10, "filesystem": "ext4", "mountpoint": "/"}]`, `[]`, "one partition"},
		"a partition that is not /":  {`"/"`, `"none"`, "one partition"},
		"two partitions":             {`[{"size"`, `[{"size": 1, "filesystem": "ext4", "mountpoint": "none"}, {"size"`, "one partition"},
		"a file system":              {`"ext4"`, `"btrfs"`, "is not supported"},
		"nothing in size":            {`10`, `0`, "between 1 and"},
		"a disk without end":         {`10`, `1000000`, "between 1 and"},
		"half a size":                {`10`, `1.5`, "whole number"},
		"an unknown key":             {`"format"`, `"firmware": "x", "format"`, "is unknown"},
		"what mmdebstrap refuses":    {`"sid"`, `"../sid"`, "is not the name of a suite"},
	} {
		d, _ := WorkerTask("simplesystemimagebuild")
		bad := strings.Replace(goodImage, c.old, c.new, 1)
		if bad == goodImage {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := d.Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
