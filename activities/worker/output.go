package workeract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"debusine/api"
	"debusine/debian"
)

// built is what a build has left, in a folder where no build can write.
type built struct {
	dir     string
	changes *debian.Changes
	name    string   // of the .changes
	debs    []string // names of packages, sorted
}

// Bounds on what a build may leave behind. Debian's largest binary packages
// have 2 GiB, and the largest source builds some 500 files.
const (
	maxBuilt = 2000
	maxBytes = 64 << 30
)

// takeBuilt is takeUpload of a build for an architecture, which must have left
// packages unless only the source was asked for.
func (a *attempt) takeBuilt(from, arch string, packages bool) (*built, error) {
	b, err := a.takeUpload(from)
	if err != nil {
		return nil, err
	}
	for _, file := range b.changes.Files {
		if isPackageOf(file.Name, arch) {
			b.debs = append(b.debs, file.Name)
		}
	}
	slices.Sort(b.debs)
	if len(b.debs) == 0 && packages {
		return nil, unusablef("the build left no package for %s", arch)
	}
	return b, nil
}

// takeUpload moves what a build left out of its reach, then looks at it: the
// .changes and what it lists, plain files of the build user with the sizes and
// checksums that it gives. Whatever else there is stays behind.
func (a *attempt) takeUpload(from string) (*built, error) {
	b := &built{dir: filepath.Join(a.folder.Path, "built")}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		return nil, err
	}
	names, err := listFlat(from)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".changes") {
			if b.name != "" {
				return nil, unusablef("the build left more than one .changes: %q and %q", b.name, name)
			}
			b.name = name
		}
	}
	if b.name == "" {
		return nil, unusablef("the build left no .changes")
	}
	if err := a.takeFile(from, b.dir, b.name, -1); err != nil {
		return nil, err
	}
	if err := b.readChanges(); err != nil {
		return nil, err
	}
	return b, a.takeListed(from, b)
}

// listFlat names what is in a folder that a build could write in. The folder
// itself must not be a link.
func listFlat(dir string) ([]string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, unusablef("the build removed the folder of its packages")
	}
	if err != nil {
		return nil, fmt.Errorf("opening what was built: %w", err)
	}
	folder := os.NewFile(uintptr(fd), dir)
	defer folder.Close()
	names, err := folder.Readdirnames(maxBuilt + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("listing what was built: %w", err)
	}
	if len(names) > maxBuilt {
		return nil, unusablef("the build left more than %d files", maxBuilt)
	}
	return names, nil
}

// takeFile renames a file into a folder of the worker's, and only then looks
// at it: nothing can be exchanged after that. size -1 accepts any.
func (a *attempt) takeFile(from, to, name string, size int64) error {
	path := filepath.Join(to, name)
	err := os.Rename(filepath.Join(from, name), path)
	if errors.Is(err, fs.ErrNotExist) {
		return unusablef("%q is missing: the build did not leave it", name)
	}
	if err != nil {
		return fmt.Errorf("taking %s: %w", name, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.Mode().IsRegular():
		return unusablef("%q, which the build left, is not a plain file", name)
	case !a.folder.Owns(int(stat.Uid)) || stat.Nlink != 1:
		return unusablef("%q, which the build left, is not its own", name)
	case size >= 0 && info.Size() != size:
		return unusablef("%q has %d bytes, but the .changes says %d", name, info.Size(), size)
	}
	return own(path)
}

// own makes a file the worker's, readable for what looks into it in a sandbox.
func own(path string) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, 0, 0); err != nil {
			return err
		}
	}
	return os.Chmod(path, 0o644) // a plain file: checked above
}

func (b *built) readChanges() error {
	file, err := os.Open(filepath.Join(b.dir, b.name))
	if err != nil {
		return err
	}
	defer file.Close()
	b.changes, err = debian.ParseChanges(file)
	if err != nil {
		return unusablef("%s: %v", b.name, err)
	}
	return nil
}

// takeListed takes what the .changes lists; its parser lets plain names pass.
func (a *attempt) takeListed(from string, b *built) error {
	var total int64
	for _, file := range b.changes.Files {
		if total += file.Size; file.Size < 0 || total > maxBytes {
			return unusablef("%s lists more than %d bytes", b.name, int64(maxBytes))
		}
		if err := a.takeFile(from, b.dir, file.Name, file.Size); err != nil {
			return err
		}
		want := api.File{Size: file.Size, Checksums: map[string]string{"sha256": file.SHA256}}
		if err := checkFile(filepath.Join(b.dir, file.Name), want); err != nil {
			return unusablef("%s: %v", b.name, err)
		}
	}
	return nil
}

// isPackageOf tells a package of the architecture, or of all, by its name.
func isPackageOf(name, arch string) bool {
	base, found := strings.CutSuffix(name, ".deb")
	if !found {
		base, found = strings.CutSuffix(name, ".udeb")
	}
	return found && (strings.HasSuffix(base, "_"+arch) || strings.HasSuffix(base, "_all"))
}

// readDebs reads the control part of each package, in memory that is bounded
// whatever the build wrote into them.
func (a *attempt) readDebs(ctx context.Context, b *built) (map[string]*debian.Deb, error) {
	debs := make(map[string]*debian.Deb, len(b.debs))
	for _, name := range b.debs {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		deb, err := debian.OpenDeb(filepath.Join(b.dir, name))
		if err != nil {
			return nil, unusablef("reading %s: %v", name, err)
		}
		debs[name] = deb
	}
	return debs, nil
}

// openPlain opens a file in a folder of the build's that must not be a link,
// nor a FIFO that would hold us up.
func openPlain(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a plain file", filepath.Base(path))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
