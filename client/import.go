package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/debian"
)

// Import is a Debian file with all that it lists, read and checked, and not
// sent yet.
type Import struct {
	Main  NewArtifact
	Parts []NewArtifact // of a .changes: what Main extends
}

// Imported is what Import.Main and Import.Parts have become.
type Imported struct {
	Main  api.Artifact
	Parts []api.Artifact
}

// ReadDebian reads a .dsc, .changes, .deb or .udeb and checks each file that it
// lists: there, of the right size, with the right SHA-256. What is wrong with
// them is a debusine.Invalid. An http or https URL is fetched into the folder
// scratch first, with the files beside it.
func ReadDebian(ctx context.Context, where, scratch string, progress Progress) (*Import, error) {
	folder := localFolder{filepath.Dir(where)}
	path := where
	var beside beside = folder
	if isURL(where) {
		remote, err := newRemote(where, scratch, progress)
		if err != nil {
			return nil, err
		}
		if path, err = remote.main(ctx); err != nil {
			return nil, err
		}
		beside = remote
	}
	r := reading{path: path, beside: beside}
	switch filepath.Ext(path) {
	case ".dsc":
		main, err := r.dsc(ctx)
		return &Import{Main: main}, err
	case ".changes":
		return r.changes(ctx)
	case ".deb", ".udeb":
		main, err := r.deb(ctx)
		return &Import{Main: main}, err
	}
	return nil, debusine.Invalid{What: fmt.Sprintf("%s is none of .dsc, .changes, .deb and .udeb, by its name", where),
		Hint: "import the file that lists the others: debusine artifact import-debian hello_2.10-3.dsc"}
}

// beside gives the files that a .dsc or .changes lists, as local paths.
type beside interface {
	file(ctx context.Context, f debian.File) (path string, err error)
}

type localFolder struct{ dir string }

func (l localFolder) file(_ context.Context, f debian.File) (string, error) {
	return filepath.Join(l.dir, f.Name), nil
}

// reading is one import.
type reading struct {
	path string
	beside
}

// dsc reads the source package.
func (r reading) dsc(ctx context.Context) (n NewArtifact, err error) {
	file, err := openControl(r.path)
	if err != nil {
		return n, err
	}
	defer file.Close()
	d, err := debian.ParseDSC(file)
	if err != nil {
		return n, notA(r.path, "Debian source control file (.dsc)", err)
	}
	files, err := r.listed(ctx, d.Files)
	if err != nil {
		return n, err
	}
	return NewArtifact{Category: debusine.CategorySourcePackage, Files: files, Data: debusine.SourcePackageData{
		Name: d.Source, Version: d.Version.String(), Type: "dpkg", DscFields: d.Fields()}}, nil
}

// changes reads the upload, and the packages in it as artifacts of their own.
func (r reading) changes(ctx context.Context) (*Import, error) {
	file, err := openControl(r.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c, err := debian.ParseChanges(file)
	if err != nil {
		return nil, notA(r.path, "Debian upload (.changes)", err)
	}
	files, err := r.listed(ctx, c.Files)
	if err != nil {
		return nil, err
	}
	made := &Import{Main: NewArtifact{Category: debusine.CategoryUpload, Files: files,
		Data: debusine.UploadData{Type: "dpkg", ChangesFields: c.Fields()}}}
	for _, f := range c.Files {
		part := reading{path: files[f.Name], beside: r.beside}
		var n NewArtifact
		switch filepath.Ext(f.Name) {
		case ".dsc":
			n, err = part.dsc(ctx)
		case ".deb", ".udeb":
			n, err = part.deb(ctx)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		made.Parts = append(made.Parts, n)
	}
	return made, nil
}

// deb reads one binary package.
func (r reading) deb(ctx context.Context) (n NewArtifact, err error) {
	if _, err := regular(r.path); err != nil {
		return n, err
	}
	d, err := debian.OpenDeb(r.path)
	if err != nil {
		return n, notA(r.path, "Debian binary package", err)
	}
	return NewArtifact{Category: debusine.CategoryBinaryPackage, Files: map[string]string{filepath.Base(r.path): r.path},
		Data: debusine.BinaryPackageData{SrcpkgName: d.Source, SrcpkgVersion: d.SourceVersion.String(), DebFields: d.Fields(), DebControlFiles: d.ControlFiles}}, nil
}

// listed checks every file before anything is sent.
func (r reading) listed(ctx context.Context, list []debian.File) (map[string]string, error) {
	by := filepath.Base(r.path)
	if _, err := debian.ParseFileName(by); err != nil {
		return nil, debusine.Invalid{What: err.Error(), Hint: "rename the file"}
	}
	files := map[string]string{by: r.path}
	for _, f := range list {
		path, err := r.file(ctx, f)
		if err != nil {
			return nil, err
		}
		size, err := regular(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, debusine.Invalid{What: fmt.Sprintf("%s lists %s, which is not beside it", by, f.Name),
				Hint: "fetch all files of the package into one folder, for example with dget or apt source --download-only"}
		}
		if err != nil {
			return nil, err
		}
		if size != f.Size {
			return nil, damaged(by, f, fmt.Sprintf("has %d bytes", size), fmt.Sprintf("%d", f.Size))
		}
		if _, sum, err := hashFile(ctx, path); err != nil {
			return nil, err
		} else if sum != f.SHA256 {
			return nil, damaged(by, f, "has the SHA-256 "+sum, f.SHA256)
		}
		files[f.Name] = path
	}
	return files, nil
}

func damaged(by string, f debian.File, is, should string) error {
	return debusine.Invalid{What: fmt.Sprintf("%s %s, but %s says %s", f.Name, is, by, should),
		Hint: "the file was changed or damaged: fetch it again"}
}

func openControl(path string) (*os.File, error) {
	if _, err := regular(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// regular gives the size of a plain file; a pipe or a device would make us
// wait, or read for ever.
func regular(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("there is no file %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, debusine.Invalid{What: path + " is not a regular file"}
	}
	return info.Size(), nil
}

// notA tells a file that is not what its name says from one that could not be
// read.
func notA(path, kind string, err error) error {
	if !errors.As(err, new(debian.Malformed)) && !errors.As(err, new(debian.UnsupportedCompression)) {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return debusine.Invalid{What: fmt.Sprintf("%s is not a %s: %s", filepath.Base(path), kind, strings.TrimSuffix(err.Error(), "."))}
}

// Import makes the artifacts of an Import, with the relations of an upload to
// its packages.
func (c *Client) Import(ctx context.Context, i *Import, workspace string, progress Progress) (done Imported, err error) {
	for _, part := range i.Parts {
		part.Workspace = workspace
		made, err := c.CreateArtifact(ctx, part, progress)
		if err != nil {
			return done, err
		}
		done.Parts = append(done.Parts, made)
	}
	i.Main.Workspace = workspace
	if done.Main, err = c.CreateArtifact(ctx, i.Main, progress); err != nil {
		return done, err
	}
	for _, part := range done.Parts {
		for _, kind := range []string{"extends", "relates-to"} {
			if err := c.Relate(ctx, done.Main.ID, part.ID, kind); err != nil {
				return done, fmt.Errorf("relating the upload to its packages: %w", err)
			}
		}
	}
	return done, nil
}
