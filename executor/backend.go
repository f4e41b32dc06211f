package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Backend is a way to hold a build. Whichever it is, its programs run as a job
// of the Machine, so that its limits, its end and its network hold for all.
type Backend struct {
	Name string
	// Image: it starts from the image of a disk, not from a tarball.
	Image bool
	// Asked: a worker offers it only when its administrator names it, because
	// a service of the machine holds the build, and not the job.
	Asked bool
	// Devices and Groups are those that a job needs.
	Devices, Groups []string

	programs map[string]string                     // and the package that has each
	try      func(context.Context, *Machine) error // whether it works, by doing it; may be nil
}

// Backends are all that there are, by name.
func Backends() []Backend {
	emulator := "qemu-system-" + qemuArchitecture(runtime.GOARCH)
	incus := map[string]string{"sbuild": "sbuild", "incus": "incus-client", "autopkgtest-virt-incus": "autopkgtest"}
	return []Backend{
		{Name: "incus-lxc", Asked: true, Groups: []string{"incus-admin"}, programs: incus, try: tryIncus},
		{Name: "incus-vm", Asked: true, Image: true, Groups: []string{"incus-admin"}, programs: incus, try: tryIncus},
		{Name: "qemu", Image: true, Devices: []string{kvm}, try: tryQemu, programs: map[string]string{
			"autopkgtest-virt-qemu": "autopkgtest", "qemu-img": "qemu-utils", emulator: "qemu-system"}},
		{Name: "schroot", try: trySchroot, programs: map[string]string{"schroot": "schroot", "unshare": "util-linux"}},
		{Name: "unshare", programs: map[string]string{"unshare": "util-linux"}},
	}
}

// BackendNamed finds a backend.
func BackendNamed(name string) (Backend, error) {
	all := Backends()
	i := slices.IndexFunc(all, func(b Backend) bool { return b.Name == name })
	if i < 0 {
		return Backend{}, fmt.Errorf("there is no backend %.80q; hint: %s", name, strings.Join(BackendNames(), ", "))
	}
	return all[i], nil
}

// BackendNames are the names of all.
func BackendNames() (names []string) {
	for _, b := range Backends() {
		names = append(names, b.Name)
	}
	return names
}

// Offers says why this machine does not have a backend; nil when it has. It
// looks for programs and then tries, which takes seconds.
func (m *Machine) Offers(ctx context.Context, b Backend) error {
	for _, program := range slices.Sorted(maps.Keys(b.programs)) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the program %s is missing; hint: install the package %s", program, b.programs[program])
		}
	}
	if b.Name != "unshare" && !m.root {
		return errors.New("the worker was not started as root")
	}
	if b.try == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return b.try(ctx, m)
}

// trial runs a command of a backend in a folder of its own; what it says is
// given back, and a failure is an error that ends with it.
func (m *Machine) trial(ctx context.Context, command func(f *Folder) (Command, error)) (said string, err error) {
	f, err := m.NewFolder(0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Remove()) }()
	c, err := command(f)
	if err != nil {
		return "", err
	}
	c.Folder, c.Output, c.OutputLimit = f, filepath.Join(f.Path, "output"), 64<<10
	ran, err := m.Run(ctx, c)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(c.Output)
	if err != nil {
		return "", err
	}
	said = string(raw)
	if !ran.Succeeded() {
		return said, fmt.Errorf("trying it ended with exit code %d %s: %s", ran.ExitCode, ran.Reason, lastLines(said))
	}
	return said, nil
}

// lastLines is the end of what a command said, for one line of a log.
func lastLines(said string) string {
	said = strings.TrimSpace(strings.ToValidUTF8(said, "?"))
	lines := strings.Split(said, "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
