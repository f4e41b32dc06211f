package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// kvm is the device by which the processor itself runs a virtual machine.
const kvm = "/dev/kvm"

// How much memory a virtual machine gets where no limit of the job says it, and
// how long it may take to boot, in seconds: without KVM that takes a minute.
const (
	guestMemory  = 4 << 30
	patienceBoot = "300"
)

// qemuArchitecture is what QEMU calls an architecture of Go.
func qemuArchitecture(goarch string) string {
	switch goarch {
	case "amd64":
		return "x86_64"
	case "386":
		return "i386"
	case "arm64":
		return "aarch64"
	case "ppc64le":
		return "ppc64"
	}
	return goarch
}

// firmware is the code that boots a virtual machine of this architecture by
// EFI, as autopkgtest uses it; empty where there is none.
func firmware() string {
	return map[string]string{"amd64": "/usr/share/OVMF/OVMF_CODE.fd", "arm64": "/usr/share/AAVMF/AAVMF_CODE.fd"}[runtime.GOARCH]
}

// devices are those that jobs of a backend are given here.
func (m *Machine) devices(b Backend) (given []string) {
	for _, device := range b.Devices {
		if device != kvm || m.KVM() == nil {
			given = append(given, device)
		}
	}
	return given
}

// WithBackend adds to a command what its backend needs of the machine.
func (m *Machine) WithBackend(c Command, b Backend) Command {
	c.Devices, c.Groups = m.devices(b), b.Groups
	return c
}

// QemuServer is the command line of autopkgtest's server for a virtual machine
// that boots from a copy of an image: boot is efi or bios. Without KVM the
// processor is emulated, many times slower. limits are the job's: of its memory
// the machine gets seven eighths.
func (m *Machine) QemuServer(f *Folder, image, boot string, limits Limits) ([]string, error) {
	unshare, err := findProgram("unshare") // whole: of "unshare" sbuild would make autopkgtest-virt-unshare
	if err != nil {
		return nil, err
	}
	argv := []string{unshare, "--user", "--map-root-user", "--mount", "sh", "-c", withoutZone, "autopkgtest-virt-qemu", "--boot=" + boot, "--cpus=" + strconv.Itoa(runtime.NumCPU()),
		"--ram-size=" + strconv.FormatInt(m.guestMemory(limits)>>20, 10), "--timeout-reboot=" + patienceBoot, "--qemu-options=-cpu max"}
	if m.KVM() != nil {
		path, err := writeEmulator(f)
		if err != nil {
			return nil, err
		}
		argv = append(argv, "--qemu-command="+path)
	}
	return append(argv, image), nil
}

// withoutZone hides the machine's time zone, which autopkgtest would give to the
// guest: a build has no business with it, and to set it takes an emulated
// processor longer than autopkgtest waits.
const withoutZone = `test ! -e /etc/timezone || mount --bind /dev/null /etc/timezone; exec "$0" "$@"`

func (m *Machine) guestMemory(limits Limits) int64 {
	usual := DefaultLimits().Memory
	most := limits.or(m.config.Limits).Memory
	if most <= 0 || most == usual { // nobody has said
		most = min(guestMemory, usual)
	}
	return most / 8 * 7
}

// writeEmulator writes a program that is QEMU without KVM, which autopkgtest asks
// for wherever there is a /dev/kvm, of use or not.
func writeEmulator(f *Folder) (string, error) {
	path := filepath.Join(f.Path, "qemu-emulated")
	script := "#!/bin/sh\nfor word; do shift; test \"$word\" = -enable-kvm || set -- \"$@\" \"$word\"; done\nexec qemu-system-" +
		qemuArchitecture(runtime.GOARCH) + " \"$@\"\n"
	err := os.WriteFile(path, []byte(script), 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return path, err
}

// KVM says why virtual machines are emulated here; nil when they are not. It is
// tried once.
func (m *Machine) KVM() error {
	m.kvmTried.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*bootTrial)
		defer cancel()
		m.noKVM = m.tryKVM(ctx)
	})
	return m.noKVM
}

// tryKVM boots the firmware. Only what runs is believed: there are machines with
// a /dev/kvm that can be opened and makes virtual machines, which then stop at
// their first instructions.
func (m *Machine) tryKVM(ctx context.Context) error {
	if !m.root {
		return errors.New("the worker was not started as root")
	}
	if _, err := os.Stat(kvm); err != nil {
		return fmt.Errorf("this machine has no %s", kvm)
	}
	code := firmware()
	if _, err := os.Stat(code); err != nil {
		return fmt.Errorf("it cannot be tried without the firmware %s; hint: install the package ovmf, or qemu-efi-aarch64", code)
	}
	_, err := m.trial(ctx, func(f *Folder) (Command, error) {
		return Command{Argv: []string{"sh", "-c", bootFirmware, "sh", code}, Devices: []string{kvm}, Limit: bootTrial}, nil
	})
	if err != nil {
		return fmt.Errorf("%s does not work here: %w", kvm, err)
	}
	return nil
}

// bootTrial is how long a firmware may take to say anything.
const bootTrial = 20 * time.Second

const bootFirmware = `
qemu=qemu-system-$(uname -m); machine=q35
test "$(uname -m)" != aarch64 || machine=virt
$qemu -accel kvm -cpu max -machine $machine -m 256 -nodefaults -display none -monitor none -serial file:said \
	-drive if=pflash,format=raw,unit=0,readonly=on,file="$1" &
pid=$!
while kill -0 $pid 2>/dev/null; do
	! grep -q -a -e BdsDxe -e UEFI said 2>/dev/null || exit 0
	sleep 0.1
done
exit 1
`

// tryQemu makes a virtual machine that does not run. How fast it would be, KVM
// says.
func tryQemu(ctx context.Context, m *Machine) error {
	said, err := exec.CommandContext(ctx, "qemu-system-"+qemuArchitecture(runtime.GOARCH), "-accel", "help").Output()
	if err != nil || !strings.Contains(string(said), "tcg") {
		return fmt.Errorf("QEMU does not work: %v: %s", err, lastLines(string(said)))
	}
	return nil
}
