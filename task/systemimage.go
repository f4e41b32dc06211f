package task

import (
	"fmt"
	"slices"
	"strings"

	"debusine"
)

// SystemImageBuildData is the input of simplesystemimagebuild (Worker): spec
// §3.3. It bootstraps as mmdebstrap does, and makes a disk of it that boots by EFI.
type SystemImageBuildData struct {
	MmdebstrapData
	DiskImage DiskImage `json:"disk_image"`
}

// DiskImage says what the disk is like. Its file is FILENAME.qcow2, or
// FILENAME.tar.xz with root.img in it.
type DiskImage struct {
	Format        string      `json:"format"`                   // raw or qcow2
	Filename      string      `json:"filename,omitempty"`       // without what tells the format; default image
	KernelPackage string      `json:"kernel_package,omitempty"` // default: Debian's of the architecture
	Bootloader    string      `json:"bootloader,omitempty"`     // systemd-boot, the default
	Partitions    []Partition `json:"partitions"`               // one, mounted at /
}

// Partition is a part of the disk with a file system.
type Partition struct {
	Size       int    `json:"size"`                 // 1,000,000,000 bytes
	Filesystem string `json:"filesystem"`           // ext4
	Mountpoint string `json:"mountpoint,omitempty"` // "/"; none is what is not mounted
}

// mostGigabytes bounds a disk: its image is sparse, and some worker keeps it.
const mostGigabytes = 2000

// kernels are the packages of the architectures that images are made for.
var kernels = map[string]string{"amd64": "linux-image-amd64", "arm64": "linux-image-arm64"}

func (d *SystemImageBuildData) check() error {
	if err := d.MmdebstrapData.check(); err != nil {
		return err
	}
	o, disk := d.BootstrapOptions, &d.DiskImage
	if disk.Filename == "" {
		disk.Filename = "image"
	}
	if disk.KernelPackage == "" {
		disk.KernelPackage = kernels[o.Architecture]
	}
	if disk.Bootloader == "" {
		disk.Bootloader = "systemd-boot"
	}
	switch {
	case kernels[o.Architecture] == "":
		return invalidField("bootstrap_options.architecture", fmt.Sprintf("no disk is made that boots on %.40q", o.Architecture), "amd64 or arm64")
	case o.Variant != "buildd" && o.Variant != "minbase":
		return invalidField("bootstrap_options.variant", "an image is bootstrapped with the variant buildd or minbase", "buildd, to build packages in")
	case disk.Format != "raw" && disk.Format != "qcow2":
		return invalidField("disk_image.format", fmt.Sprintf("disk_image.format must be raw or qcow2, not %.40q", disk.Format), "qcow2 is ready to use, raw is unpacked for each build")
	case !plainWord(disk.Filename) || strings.HasPrefix(disk.Filename, "."):
		return invalidField("disk_image.filename", "disk_image.filename is not a plain file name", "")
	case !packageName.MatchString(disk.KernelPackage):
		return invalidField("disk_image.kernel_package", fmt.Sprintf("%.80q is not a package name", disk.KernelPackage), "")
	case disk.Bootloader != "systemd-boot":
		return invalidField("disk_image.bootloader", fmt.Sprintf("bootloader %.80q is not supported", disk.Bootloader), "systemd-boot")
	}
	return disk.checkPartitions()
}

func (d *DiskImage) checkPartitions() error {
	if len(d.Partitions) != 1 || d.Partitions[0].Mountpoint != "/" {
		return invalidField("disk_image.partitions", "an image has one partition, with the mountpoint /", "the one that it boots from is added")
	}
	p := d.Partitions[0]
	if p.Filesystem != "ext4" {
		return invalidField("disk_image.partitions", fmt.Sprintf("file system %.40q is not supported", p.Filesystem), "ext4")
	}
	if p.Size < 1 || p.Size > mostGigabytes {
		return invalidField("disk_image.partitions", fmt.Sprintf("the size of a partition must lie between 1 and %d (GB)", mostGigabytes), "")
	}
	return nil
}

// Requires a machine that can bootstrap, and has what makes disks.
func (d *SystemImageBuildData) Requires() []string {
	tags := slices.DeleteFunc(d.MmdebstrapData.Requires(), func(tag string) bool { return tag == versionTag("mmdebstrap") })
	return append(tags, versionTag("simplesystemimagebuild"), "worker:cap:system-image")
}

// Describe tells images of different sizes and formats apart.
func (d *SystemImageBuildData) Describe(found map[string][]debusine.Artifact) Description {
	about := d.MmdebstrapData.Describe(found)
	about.ParameterSummary += " " + d.DiskImage.Format
	about.RuntimeContext += ":" + d.DiskImage.Format
	return about
}
