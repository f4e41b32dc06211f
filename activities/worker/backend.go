package workeract

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"debusine/executor"
)

// room is the part of sbuild's command line that depends on the backend.
type room struct {
	options  []string // of sbuild
	config   string   // lines of its configuration
	unmirror bool     // sbuild shows the machine's resolv.conf at the chroot's
	build    string   // the folder where sbuild puts what it built
	// around puts what must be done before and after sbuild around its command.
	around func(argv []string) ([]string, error)
}

// room asks the backend for its part.
func (s *sbuild) room(a *attempt) (room, error) {
	switch s.backend().Name {
	case "schroot":
		return s.schrootRoom(a)
	case "qemu":
		return s.qemuRoom(a)
	case "incus-lxc", "incus-vm":
		return s.incusRoom(a)
	}
	return s.unshareRoom(a)
}

// backend is the one that the task names, or the one that nothing means.
func (s *sbuild) backend() executor.Backend {
	b, err := executor.BackendNamed(s.data.Backend)
	if err != nil { // the task knows no other
		b, _ = executor.BackendNamed("unshare")
	}
	return b
}

// unshareRoom lets sbuild make the user namespace and unpack the tarball, unless
// the environment is ready.
func (s *sbuild) unshareRoom(a *attempt) (r room, err error) {
	r = room{options: []string{"--chroot-mode=unshare", "--chroot=" + s.tarball}, unmirror: true, build: filepath.Join(a.folder.Work, "build")}
	r.around = func(argv []string) ([]string, error) {
		argv = inNewFolder("build", argv)
		if len(s.layers) > 0 {
			argv = asUser(a.folder, argv)
		}
		return argv, nil
	}
	if len(s.layers) > 0 {
		r.config, err = inRoot(a.folder)
	}
	return r, err
}

// schrootRoom runs sbuild itself as root of the user namespace in which schroot
// is root. The environment is a folder: the sum of layers, or unpacked for this
// build alone.
func (s *sbuild) schrootRoom(a *attempt) (r room, err error) {
	r = room{options: []string{"--chroot-mode=schroot", "--chroot=" + executor.Schroot}, config: "$build_user = 'sbuild';\n"}
	if r.build, err = a.folder.NewTree("build"); err != nil {
		return r, err
	}
	root := a.folder.Root()
	var unpack []string
	if len(s.layers) == 0 {
		if root, err = a.folder.NewTree("root"); err != nil {
			return r, err
		}
		unpack = a.folder.AsRoot("sh", "-ec", unpackScript, "sh", s.tarball, root)
	}
	r.around = func(argv []string) ([]string, error) {
		argv, err := a.folder.InSchroot(root, inFolder(r.build, argv)...)
		if unpack != nil {
			argv = executor.InTurn(unpack, argv)
		}
		return argv, err
	}
	return r, nil
}

// qemuRoom boots a virtual machine from the image, through autopkgtest's server.
func (s *sbuild) qemuRoom(a *attempt) (room, error) {
	image, unpack := s.image.path, []string(nil)
	if s.image.packed {
		image = filepath.Join(a.folder.Work, rawName)
		unpack = []string{"tar", "--extract", "--sparse", "--directory", a.folder.Work, "--file", s.image.path, rawName}
	}
	server, err := a.machine.QemuServer(a.folder, image, s.image.boot, executor.Limits{})
	if err != nil {
		return room{}, err
	}
	r := room{options: throughServer(server), build: filepath.Join(a.folder.Work, "build")}
	r.around = func(argv []string) ([]string, error) {
		// The sockets of QEMU have to have short names.
		argv = append([]string{"env", "TMPDIR=/tmp"}, inNewFolder("build", argv)...)
		if unpack != nil {
			argv = executor.InTurn(unpack, executor.InTurn([]string{"sh", "-c", isRaw, "sh", image}, argv))
		}
		return argv, nil
	}
	return r, nil
}

// isRaw refuses an image that is not what its artifact says: QEMU looks for itself,
// and would open the files that an image of another format names.
const isRaw = `test -f "$1" && test ! -L "$1" && qemu-img info "$1" | grep -qx 'file format: raw' ||
	{ echo "E: ${1##*/} of the environment is no raw image of a disk"; exit 1; }`

// incusRoom gives the environment to incus for this build.
func (s *sbuild) incusRoom(a *attempt) (room, error) {
	b, name := s.backend(), "debusine-"+filepath.Base(a.folder.Path)
	metadata := filepath.Join(a.folder.Path, "metadata.yaml")
	text := fmt.Sprintf("architecture: %s\ncreation_date: 1\nproperties:\n  description: environment %d of Debusine\n", incusArchitecture(s.data.BuildArchitecture), s.base)
	if err := os.WriteFile(metadata, []byte(text), 0o644); err != nil {
		return room{}, err
	}
	environment := s.tarball
	if b.Image {
		if s.image.packed {
			return room{}, unusablef("environment %d is a raw image; incus takes qcow2", s.base)
		}
		environment = s.image.path
	}
	r := room{options: throughServer(executor.IncusServer(b, name)), build: filepath.Join(a.folder.Work, "build")}
	r.around = func(argv []string) ([]string, error) {
		return a.folder.WithIncusImage(metadata, environment, name, inNewFolder("build", argv)...), nil
	}
	return r, nil
}

// throughServer has sbuild open its testbed with a server of autopkgtest. sbuild
// sees escapes in the words.
func throughServer(server []string) []string {
	options := []string{"--chroot-mode=autopkgtest", "--autopkgtest-virt-server=" + server[0]}
	for _, word := range server[1:] {
		options = append(options, "--autopkgtest-virt-server-opt="+strings.ReplaceAll(word, "%", "%%"))
	}
	return options
}

// incusArchitecture is what incus calls an architecture of Debian.
func incusArchitecture(arch string) string {
	names := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "armel": "armv7l", "i386": "i686", "ppc64el": "ppc64le"}
	if name, found := names[arch]; found {
		return name
	}
	return arch
}

// inFolder runs argv in a folder that is there.
func inFolder(path string, argv []string) []string {
	return slices.Concat([]string{"sh", "-c", `cd "$0" && exec "$@"`, path}, argv)
}
