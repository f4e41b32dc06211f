package workeract

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"debusine"
	"debusine/debian"
)

// uploadLog stores the build log, also of a build that was stopped.
func (s *sbuild) uploadLog(ctx context.Context, a *attempt, dose map[string]any) (int64, error) {
	version := s.version
	if v, err := debian.ParseVersion(s.version); err == nil {
		version = v.WithoutEpoch()
	}
	name := s.name + "_" + version + "_" + s.data.LogArchitecture() + ".build"
	if _, err := debian.ParseFileName(name); err != nil {
		name = "build.build"
	}
	id, err := a.server.CreateArtifact(ctx, debusine.CategoryPackageBuildLog,
		debusine.PackageBuildLogData{Source: s.name, Version: s.version, Architecture: s.data.LogArchitecture(), Filename: name,
			BdUninstallable: dose},
		map[string]string{name: a.logPath()})
	if err != nil {
		return 0, fmt.Errorf("uploading the build log: %w", err)
	}
	if err := a.server.Relate(ctx, id, s.source.ID, "relates-to"); err != nil {
		return 0, fmt.Errorf("relating the build log to its source: %w", err)
	}
	return id, nil
}

// relation is one to be made.
type relation struct {
	from, to int64
	kind     string
}

// uploadBuilt stores each package, then the upload (whose packages the server
// has by then), then relations. The log is on its way meanwhile.
func (s *sbuild) uploadBuilt(ctx context.Context, a *attempt, log func() (int64, error)) error {
	b, err := a.takeBuilt(s.buildFiles, s.data.Host(), slices.Contains(s.data.BuildComponents, "any") || slices.Contains(s.data.BuildComponents, "all"))
	if err != nil {
		return err
	}
	debs, err := a.readDebs(ctx, b)
	if err != nil {
		return err
	}
	if err := s.isOurs(b, debs); err != nil {
		return err
	}
	packages, err := a.uploadPackages(ctx, b, debs)
	if err != nil {
		return err
	}
	files := map[string]string{b.name: filepath.Join(b.dir, b.name)}
	for _, file := range b.changes.Files {
		files[file.Name] = filepath.Join(b.dir, file.Name)
	}
	upload, err := a.server.CreateArtifact(ctx, debusine.CategoryUpload,
		debusine.UploadData{Type: "dpkg", ChangesFields: b.changes.Fields()}, files)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", b.name, err)
	}
	logID, err := log()
	if err != nil {
		return err
	}
	relations := []relation{{logID, upload, "relates-to"}}
	for _, id := range packages {
		relations = append(relations, relation{logID, id, "relates-to"}, relation{id, s.source.ID, "built-using"},
			relation{upload, id, "extends"}, relation{upload, id, "relates-to"})
	}
	return a.relate(ctx, relations)
}

// isOurs refuses packages that say that they come of another source package,
// or are for another machine: a build can write what it likes, and what it
// leaves goes where packages of that name are expected.
func (s *sbuild) isOurs(b *built, debs map[string]*debian.Deb) error {
	version, err := debian.ParseVersion(s.version)
	if err != nil {
		return unusablef("artifact %d: %v", s.source.ID, err)
	}
	same := func(what, name string, v debian.Version) error {
		if name != s.name || v.Compare(version) != 0 {
			return unusablef("%s says that it was built from %s %s, but the source package is %s %s", what, name, v, s.name, s.version)
		}
		return nil
	}
	if err := same(b.name, b.changes.Source, b.changes.SourceVersion); err != nil {
		return err
	}
	if wanted, err := debian.ParseVersion(s.wanted); err != nil || b.changes.Version.Compare(wanted) != 0 {
		return unusablef("%s is of version %s, not of %s", b.name, b.changes.Version, s.wanted)
	}
	for _, name := range b.debs {
		deb := debs[name]
		if err := same(name, deb.Source, deb.SourceVersion); err != nil {
			return err
		}
		if arch := string(deb.Architecture); arch != "all" && arch != s.data.Host() {
			return unusablef("%s is for %s, not for %s", name, arch, s.data.Host())
		}
	}
	return nil
}

func (a *attempt) uploadPackages(ctx context.Context, b *built, debs map[string]*debian.Deb) ([]int64, error) {
	var (
		mu  sync.Mutex
		ids []int64
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, name := range b.debs {
		deb := debs[name]
		group.Go(func() error {
			id, err := a.server.CreateArtifact(ctx, debusine.CategoryBinaryPackage, debusine.BinaryPackageData{
				SrcpkgName: deb.Source, SrcpkgVersion: deb.SourceVersion.String(),
				DebFields: deb.Fields(), DebControlFiles: deb.ControlFiles,
			}, map[string]string{name: filepath.Join(b.dir, name)})
			if err != nil {
				return fmt.Errorf("uploading %s: %w", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, id)
			return nil
		})
	}
	return ids, group.Wait()
}

func (a *attempt) relate(ctx context.Context, relations []relation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, r := range relations {
		group.Go(func() error {
			if err := a.server.Relate(ctx, r.from, r.to, r.kind); err != nil {
				return fmt.Errorf("relating artifact %d to %d (%s): %w", r.from, r.to, r.kind, err)
			}
			return nil
		})
	}
	return group.Wait()
}
