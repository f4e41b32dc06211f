package workeract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/debian"
)

// Bounds on what is taken out of packages to be signed or packed again.
// Debian's largest file that wants a signature is a kernel of 15 MiB.
const (
	maxPackageUnpacked = 16 << 30 // of one binary package
	maxToSign          = 4 << 30  // of all files of one artifact
	maxTemplateFiles   = 10_000   // of a source template
)

// template is a -signed-template package on this machine's disk.
type template struct {
	id   int64
	path string
	name string // of the package
	list debian.SigningTemplate
}

// binaryPackage is one package that files can be taken from.
type binaryPackage struct {
	id   int64
	path string // once it was fetched
}

// fetchTemplate downloads the template and reads its files.json.
func (a *attempt) fetchTemplate(ctx context.Context, id int64) (t template, err error) {
	artifact, err := a.server.Artifact(ctx, id)
	if err != nil {
		return t, fmt.Errorf("asking for the template, artifact %d: %w", id, err)
	}
	if t.path, err = a.fetchDeb(ctx, artifact); err != nil {
		return t, err
	}
	deb, err := debian.OpenDeb(t.path)
	if err != nil {
		return t, unusablef("the template, artifact %d: %v", id, err)
	}
	t.id, t.name = id, deb.Package
	raw, err := readOne(t.path, debian.SigningFolder(t.name)+"/files.json", debian.MaxSigningTemplate)
	if err != nil {
		return t, err
	}
	if t.list, err = debian.ParseSigningTemplate(raw); err != nil {
		return t, unusablef("%s: %v", t.name, err)
	}
	return t, nil
}

// fetchDeb downloads the one package of an artifact.
func (a *attempt) fetchDeb(ctx context.Context, artifact api.Artifact) (string, error) {
	paths, err := a.fetchAll(ctx, artifact, filepath.Join(a.folder.Path, "debs", fmt.Sprint(artifact.ID)), nil)
	if err != nil {
		return "", err
	}
	if artifact.Category != debusine.CategoryBinaryPackage || len(paths) != 1 {
		return "", unusablef("artifact %d is not one binary package", artifact.ID)
	}
	return paths[0], nil
}

// walk goes through the data of a package on disk. What the package is to blame
// for is an unusable.
func walk(path string, visit func(debian.DebEntry, io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	err = debian.WalkDeb(file, info.Size(), maxPackageUnpacked, visit)
	if bad := (debian.Malformed{}); errors.As(err, &bad) || errors.As(err, new(debian.UnsupportedCompression)) {
		return unusablef("%s: %v", filepath.Base(path), err)
	}
	return err
}

var errFound = errors.New("found")

// readOne reads one plain file of a package.
func readOne(path, name string, most int64) (content []byte, err error) {
	err = walk(path, func(e debian.DebEntry, r io.Reader) error {
		if e.Name != name {
			return nil
		}
		if !e.Mode.IsRegular() || e.HardLink || e.Size > most {
			return unusablef("%s: %s is not a plain file of at most %d bytes", filepath.Base(path), name, most)
		}
		var text bytes.Buffer
		if _, err := io.Copy(&text, r); err != nil {
			return err
		}
		content = text.Bytes()
		return errFound
	})
	if errors.Is(err, errFound) {
		return content, nil
	}
	if err == nil {
		err = unusablef("%s holds no %s: it is not a signing template", filepath.Base(path), name)
	}
	return nil, err
}

// writePlain copies what a package holds into a new file below root, which no
// link in it can lead out of. left is what may still be written in all.
func writePlain(root *os.Root, name string, e debian.DebEntry, r io.Reader, left *int64) error {
	if e.Size > *left {
		return unusablef("what is taken out of the package has more than %d bytes", int64(maxToSign))
	}
	*left -= e.Size
	if folder, _ := filepath.Split(name); folder != "" {
		if err := root.MkdirAll(strings.TrimSuffix(folder, "/"), 0o755); err != nil {
			return unusablef("%q cannot be taken out of the package: %v", name, err)
		}
	}
	mode := os.FileMode(0o644)
	if e.Mode&0o100 != 0 {
		mode = 0o755
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, os.ErrExist) {
		return unusablef("the package holds %q twice", name)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	return errors.Join(err, file.Close())
}
