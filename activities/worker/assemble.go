package workeract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/debian"
	"debusine/executor"
)

// assembleSignedSource makes a source package of a signing template and
// signatures: spec §3.9.
type assembleSignedSource struct {
	template   template
	builtUsing []int64
	source     *debian.ChangelogEntry
	buildFiles string
}

func (s *assembleSignedSource) subject() int64 { return s.template.id }

func (s *assembleSignedSource) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	var in struct {
		Template   int64   `json:"input_template_artifact_id"`
		Signed     []int64 `json:"input_signed_ids"`
		BuiltUsing []int64 `json:"input_built_using_ids"`
	}
	if err := json.Unmarshal(a.job.Dynamic, &in); err != nil {
		return executor.Command{}, unusablef("the dynamic task data cannot be read: %v", err)
	}
	s.builtUsing = in.BuiltUsing
	var err error
	if s.template, err = a.fetchTemplate(ctx, in.Template); err != nil {
		return executor.Command{}, err
	}
	tree := filepath.Join(a.folder.Path, "assembled")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return executor.Command{}, err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return executor.Command{}, err
	}
	defer root.Close()
	if err := s.unpack(root); err != nil {
		return executor.Command{}, err
	}
	if err := s.checkTemplate(root); err != nil {
		return executor.Command{}, err
	}
	if err := s.install(ctx, a, root, in.Signed); err != nil {
		return executor.Command{}, err
	}
	return s.command(a, tree), nil
}

// unpack copies the source-template of the package. What it holds is written
// below root, through which no link leads out.
func (s *assembleSignedSource) unpack(root *os.Root) error {
	prefix := debian.SigningFolder(s.template.name) + "/source-template/"
	left, files := int64(maxToSign), 0
	return walk(s.template.path, func(e debian.DebEntry, r io.Reader) error {
		name, inside := strings.CutPrefix(e.Name, prefix)
		if !inside {
			return nil
		}
		if files++; files > maxTemplateFiles {
			return unusablef("%s: its source-template holds more than %d files", s.template.name, maxTemplateFiles)
		}
		switch {
		case e.Mode.IsDir():
			if err := root.MkdirAll(name, 0o755); err != nil {
				return unusablef("%s: its source-template: %v", s.template.name, err)
			}
			return nil
		case e.Mode.IsRegular() && !e.HardLink:
			return writePlain(root, name, e, r, &left)
		case e.Mode&fs.ModeSymlink != 0 && staysInside(name, e.Link):
			if err := root.Symlink(e.Link, name); err != nil {
				return unusablef("%s: its source-template: %v", s.template.name, err)
			}
			return nil
		}
		return unusablef("%s: its source-template holds %q, which is neither a plain file, a folder nor a link within it", s.template.name, name)
	})
}

// staysInside says whether a symbolic link is relative and does not name what
// lies outside of the tree.
func staysInside(name, link string) bool {
	to := path.Join(path.Dir(name), link)
	return link != "" && !strings.HasPrefix(link, "/") && to != ".." && !strings.HasPrefix(to, "../")
}

// checkTemplate insists on a source package that dpkg-source packs as it is.
func (s *assembleSignedSource) checkTemplate(root *os.Root) error {
	format, err := readSmall(root, "debian/source/format")
	if err != nil || strings.TrimRight(string(format), "\n") != "3.0 (native)" {
		return unusablef("%s: debian/source/format of its source-template is not 3.0 (native)", s.template.name)
	}
	for _, name := range []string{"debian/source/options", "debian/source/local-options"} {
		if _, err := root.Lstat(name); err == nil {
			return unusablef("%s: its source-template must not have %s", s.template.name, name)
		}
	}
	for _, name := range []string{"debian/source", "debian"} {
		if info, err := root.Lstat(name); err != nil || !info.IsDir() {
			return unusablef("%s: %s of its source-template is not a folder", s.template.name, name)
		}
	}
	text, err := readSmall(root, "debian/changelog")
	if err != nil {
		return unusablef("%s: debian/changelog of its source-template: %v", s.template.name, err)
	}
	if s.source, err = debian.ParseChangelogTop(bytes.NewReader(text)); err == nil {
		_, err = debian.ParsePackageName(s.source.Source)
	}
	if err != nil {
		return unusablef("%s: debian/changelog of its source-template: %v", s.template.name, err)
	}
	return nil
}

// readSmall reads a plain file of a few MiB at most.
func readSmall(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > debian.MaxSigningTemplate {
		return nil, fmt.Errorf("%s is not a plain file of a few MiB", name)
	}
	return root.ReadFile(name)
}

// install puts the signature of each file that the template names where its
// rules look for it.
func (s *assembleSignedSource) install(ctx context.Context, a *attempt, root *os.Root, signed []int64) error {
	found, err := signatures(ctx, a, signed)
	if err != nil {
		return err
	}
	for _, p := range s.template.list.Packages {
		for _, f := range p.Files {
			name := p.Name + "/" + f.Name
			from, ok := found[name]
			if !ok {
				return unusablef("%s wants a signature of %s, which none of the signed artifacts has", s.template.name, name)
			}
			if err := s.installOne(ctx, a, root, "debian/signatures/"+name+".sig", from); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature is where a signature lies on the server.
type signature struct {
	artifact int64
	file     string
	size     int64
}

// signatures finds what was signed by the name of what it is for.
func signatures(ctx context.Context, a *attempt, signed []int64) (map[string]signature, error) {
	found := map[string]signature{}
	for _, id := range signed {
		artifact, err := a.server.Artifact(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("asking for signatures, artifact %d: %w", id, err)
		}
		var data debusine.SigningOutputData
		if err := json.Unmarshal(artifact.Data, &data); err != nil || artifact.Category != debusine.CategorySigningOutput {
			return nil, unusablef("artifact %d holds no signatures", id)
		}
		for _, r := range data.Results {
			if r.OutputFile == "" {
				return nil, unusablef("artifact %d: %q was not signed: %s", id, r.File, r.ErrorMessage)
			}
			if _, twice := found[r.File]; twice {
				return nil, unusablef("there are two signatures of %q", r.File)
			}
			found[r.File] = signature{id, r.OutputFile, sizeOf(artifact, r.OutputFile)}
		}
	}
	return found, nil
}

func sizeOf(artifact api.Artifact, file string) int64 { return artifact.Files[file].Size }

func (s *assembleSignedSource) installOne(ctx context.Context, a *attempt, root *os.Root, name string, from signature) error {
	if from.size > maxToSign {
		return unusablef("the signature %s has %d bytes", name, from.size)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return unusablef("%s: its source-template is in the way of %s: %v", s.template.name, name, err)
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return unusablef("%s: its source-template is in the way of %s: %v", s.template.name, name, err)
	}
	err = a.server.Download(ctx, from.artifact, from.file, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("fetching the signature %s of artifact %d: %w", from.file, from.artifact, err)
	}
	return nil
}

// command packs the tree as the build user, in its own copy.
func (s *assembleSignedSource) command(a *attempt, tree string) executor.Command {
	s.buildFiles = filepath.Join(a.folder.Work, "build")
	changes := s.source.Source + "_" + s.source.Version.WithoutEpoch() + "_source.changes"
	return executor.Command{Argv: inNewFolder("build", []string{"sh", "-ec",
		`cp -R "$1" ../tree; dpkg-source -b ../tree; cd ../tree; dpkg-genchanges -S -sa -u../build >"../build/$2"`, "sh", tree, changes})}
}

func (s *assembleSignedSource) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	if !ran.Succeeded() {
		return debusine.Failure, nil
	}
	b, err := a.takeUpload(s.buildFiles)
	if err != nil {
		return "", err
	}
	dsc, err := s.readDSC(b)
	if err != nil {
		return "", err
	}
	files := map[string]string{dsc.FileName(): filepath.Join(b.dir, dsc.FileName())}
	for _, f := range dsc.Files {
		files[f.Name] = filepath.Join(b.dir, f.Name)
	}
	source, err := a.server.CreateArtifact(ctx, debusine.CategorySourcePackage,
		debusine.SourcePackageData{Name: dsc.Source, Version: dsc.Version.String(), Type: "dpkg", DscFields: dsc.Fields()}, files)
	if err != nil {
		return "", fmt.Errorf("uploading %s: %w", dsc.FileName(), err)
	}
	files = map[string]string{b.name: filepath.Join(b.dir, b.name)}
	for _, f := range b.changes.Files {
		files[f.Name] = filepath.Join(b.dir, f.Name)
	}
	upload, err := a.server.CreateArtifact(ctx, debusine.CategoryUpload, debusine.UploadData{Type: "dpkg", ChangesFields: b.changes.Fields()}, files)
	if err != nil {
		return "", fmt.Errorf("uploading %s: %w", b.name, err)
	}
	relations := []relation{{upload, source, "extends"}, {upload, source, "relates-to"}, {source, s.template.id, "built-using"}}
	for _, id := range s.builtUsing {
		if id != s.template.id {
			relations = append(relations, relation{source, id, "built-using"})
		}
	}
	return debusine.Success, a.relate(ctx, relations)
}

// readDSC reads the .dsc that the .changes lists, of the version that the
// template's changelog has.
func (s *assembleSignedSource) readDSC(b *built) (*debian.DSC, error) {
	name := s.source.Source + "_" + s.source.Version.WithoutEpoch() + ".dsc"
	file, err := openPlain(filepath.Join(b.dir, name))
	if err != nil {
		return nil, unusablef("%s was not made: %v", name, err)
	}
	defer file.Close()
	dsc, err := debian.ParseDSC(file)
	if err != nil {
		return nil, unusablef("%s: %v", name, err)
	}
	if dsc.Source != s.source.Source || dsc.Version.Compare(s.source.Version) != 0 || dsc.FileName() != name {
		return nil, unusablef("%s is of %s %s, not of %s %s", name, dsc.Source, dsc.Version, s.source.Source, s.source.Version)
	}
	return dsc, nil
}
