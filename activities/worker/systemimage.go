package workeract

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"debusine"
	"debusine/executor"
	"debusine/task"
)

// systemImage makes the image of a disk: spec §3.3. It bootstraps a tarball as
// mmdebstrap does, with what a machine has beyond a chroot, and makes a disk of
// that as root of a user namespace: nothing is mounted.
type systemImage struct {
	mmdebstrap
	disk task.DiskImage
	made string // the folder where the image lies
}

func newSystemImage(data *task.SystemImageBuildData) *systemImage {
	bootstrap := data.MmdebstrapData
	o := &bootstrap.BootstrapOptions
	o.ExtraPackages = slices.Concat(machinePackages, []string{data.DiskImage.KernelPackage}, o.ExtraPackages)
	return &systemImage{disk: data.DiskImage, mmdebstrap: mmdebstrap{data: &bootstrap, file: "system.tar"}}
}

// machinePackages are what makes a machine of a chroot: autopkgtest wants python3
// in a virtual machine, and a console where somebody can log in.
var machinePackages = []string{"systemd-sysv", "systemd-resolved", "systemd-boot-efi", "udev", "dbus", "initramfs-tools", "zstd", "login", "passwd", "iproute2", "netbase", "python3-minimal"}

// ImageTools are the programs that a worker needs, besides mmdebstrap.
func ImageTools() []string {
	return []string{"sfdisk", "mkfs.vfat", "mmd", "mcopy", "mke2fs", "qemu-img"}
}

// efiNames are the names of the loader in a system, and on the disk.
var efiNames = map[string][2]string{"amd64": {"systemd-bootx64.efi", "BOOTX64.EFI"}, "arm64": {"systemd-bootaa64.efi", "BOOTAA64.EFI"}}

func (i *systemImage) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	i.hooks = []string{"--essential-hook=sh " + quote(filepath.Join(a.folder.Path, "modules")) + " \"$1\"",
		"--customize-hook=sh " + quote(filepath.Join(a.folder.Path, "machine")) + " \"$1\""}
	for name, text := range map[string]string{"modules": modulesHook, "machine": machineHook} {
		if err := os.WriteFile(filepath.Join(a.folder.Path, name), []byte(text), 0o644); err != nil {
			return executor.Command{}, err
		}
	}
	c, err := i.mmdebstrap.setup(ctx, a)
	if err != nil {
		return c, err
	}
	tree, err := a.folder.NewTree("root")
	if err != nil {
		return c, err
	}
	if i.made, err = a.folder.NewTree("made"); err != nil {
		return c, err
	}
	efi := efiNames[i.data.BootstrapOptions.Architecture]
	c.Argv = executor.InTurn(c.Argv, a.folder.AsRoot("sh", "-ec", diskScript, "sh", i.tar, tree, i.made, i.name(),
		i.disk.Format, fmt.Sprint(i.size()>>20), efi[0], efi[1]))
	return c, nil
}

// name is that of the artifact's file.
func (i *systemImage) name() string {
	if i.disk.Format == "raw" {
		return i.disk.Filename + packedSuffix
	}
	return i.disk.Filename + ".qcow2"
}

// bootSize is what the partition of the loader takes, in bytes.
const bootSize = 256 << 20

// size is that of the whole disk in bytes, with two MiB for its tables.
func (i *systemImage) size() int64 {
	return int64(i.disk.Partitions[0].Size)*1e9>>20<<20 + bootSize + 2<<20
}

// modulesHook has the initial file system hold what disks of virtual machines
// need, and little else: it is read by each build.
const modulesHook = `set -e
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/initramfs-tools/hooks"
echo MODULES=list > "$1/etc/initramfs-tools/conf.d/debusine"
cat > "$1/etc/initramfs-tools/hooks/debusine" <<'end'
#!/bin/sh
test "$1" != prereqs || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_console sd_mod ext4
end
chmod 755 "$1/etc/initramfs-tools/hooks/debusine"
`

// machineHook makes a system boot into what autopkgtest looks for: a root shell
// on a second console, a login on the first, a network. Its disk is thrown away, so
// dpkg need not wait for it.
const machineHook = `set -e
root=$1
echo 'LABEL=debusine / ext4 noatime 0 1' > "$root/etc/fstab"
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/debusine"
cat > "$root/etc/systemd/system/autopkgtest@.service" <<'end'
[Unit]
Description=root shell on %I
ConditionPathExists=/dev/%I
[Service]
ExecStart=/bin/sh
StandardInput=tty-fail
StandardOutput=tty
StandardError=tty
TTYPath=/dev/%I
SendSIGHUP=yes
SuccessExitStatus=0 208 SIGHUP SIGINT SIGTERM SIGPIPE
end
mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/systemd/network"
for console in ttyS1 hvc1; do
	ln -sf ../autopkgtest@.service "$root/etc/systemd/system/multi-user.target.wants/autopkgtest@$console.service"
done
printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' > "$root/etc/systemd/network/80-debusine.network"
chroot "$root" systemctl enable systemd-networkd.service systemd-resolved.service
ln -sf ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
`

// diskScript makes a disk of a tarball: a table, a partition of the loader with
// the kernel in it, and one of the system.
const diskScript = `
tarball=$1; tree=$2; made=$3; name=$4; format=$5; size=$6; loader=$7; boots=$8
cd "$made"
tar --exclude='./dev/*' --directory "$tree" --extract --file "$tarball"
kernel=$(ls "$tree"/boot/vmlinuz-* | sort -V | tail -n 1)
truncate --size 256M efi.img
mkfs.vfat -n EFI efi.img
export MTOOLS_SKIP_CHECK=1
mmd -i efi.img ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
mcopy -i efi.img "$tree/usr/lib/systemd/boot/efi/$loader" "::/EFI/BOOT/$boots"
mcopy -i efi.img "$kernel" ::/vmlinuz
mcopy -i efi.img "$tree/boot/initrd.img-${kernel##*/vmlinuz-}" ::/initrd.img
printf 'timeout 0\ndefault debusine.conf\n' > loader.conf
printf 'title Debusine\nlinux /vmlinuz\ninitrd /initrd.img\noptions root=LABEL=debusine rw console=tty0 console=hvc0 console=ttyS0 quiet systemd.show_status=false\n' > debusine.conf
mcopy -i efi.img loader.conf ::/loader/loader.conf
mcopy -i efi.img debusine.conf ::/loader/entries/debusine.conf
truncate --size "${size}M" root.img
printf 'label: gpt\nstart=1MiB, size=256MiB, type=uefi, name=efi\nstart=257MiB, size=%sMiB, type=linux, name=root\n' $((size - 258)) | sfdisk --quiet root.img
dd if=efi.img of=root.img bs=1M seek=1 conv=notrunc,sparse status=none
mke2fs -q -t ext4 -L debusine -d "$tree" -E offset=$((257 << 20)),lazy_itable_init=1 root.img $(((size - 258) << 10))k
rm -r efi.img loader.conf debusine.conf "$tree"/*
case $format in
	raw) tar --create --sparse --file "$name" --xz root.img;;
	*) qemu-img convert -c -O qcow2 -o compression_type=zstd root.img "$name";;
esac
rm root.img
ls -l "$name"
`

// teardown uploads the image with what is known of its system.
func (i *systemImage) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	if !ran.Succeeded() {
		return i.mmdebstrap.teardown(ctx, a, ran)
	}
	system, err := i.describe()
	if err != nil {
		return "", err
	}
	if _, err := listFlat(i.made); err != nil { // the folder could be a link by now
		return "", err
	}
	system.Filename, system.WithDev = i.name(), false
	data := debusine.SystemImageData{SystemTarballData: system, ImageFormat: i.disk.Format, Filesystem: i.disk.Partitions[0].Filesystem,
		Size: i.size(), BootMechanism: "efi"}
	return a.uploadSystem(ctx, i.made, i.name(), debusine.CategorySystemImage, data)
}

// uploadSystem takes the one file that was made and uploads it.
func (a *attempt) uploadSystem(ctx context.Context, from, name, category string, data any) (debusine.Result, error) {
	built := filepath.Join(a.folder.Path, "built")
	if err := os.Mkdir(built, 0o755); err != nil {
		return "", err
	}
	if err := a.takeFile(from, built, name, -1); err != nil {
		return "", err
	}
	if _, err := a.server.CreateArtifact(ctx, category, data, map[string]string{name: filepath.Join(built, name)}); err != nil {
		return "", fmt.Errorf("uploading the environment: %w", err)
	}
	return debusine.Success, nil
}

// tarball is the name of the file that mmdebstrap makes.
func (m *mmdebstrap) tarball() string { return cmp.Or(m.file, tarName) }
