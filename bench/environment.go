package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"debusine"
	"debusine/api"
	"debusine/client"
	"debusine/debian"
)

// keptEnvironment is the build environment of an earlier bench, beside
// bench.json: what its artifact says, and the tarball.
type keptEnvironment struct{ data, tarball string }

func (h *house) keptEnvironment() keptEnvironment {
	return keptEnvironment{filepath.Join(h.keep, "bench-environment.json"), filepath.Join(h.keep, "bench-environment.tar")}
}

// mirror is the machine's own: address and suite of apt's first target.
func mirror(ctx context.Context) (url, suite string, err error) {
	said, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
		"Created-By: Packages", "Architecture: "+architecture, "Component: main").Output()
	fields := strings.Fields(string(said))
	if err != nil || len(fields) < 2 {
		return "", "", errors.Join(err, errors.New("apt knows no mirror; hint: apt-get update"))
	}
	return fields[0], fields[1], nil
}

// environment gives the artifact to build in: the kept one, uploaded, or one
// that the installation makes now.
func (h *house) environment(ctx context.Context, url, suite string) (int64, error) {
	kept := h.keptEnvironment()
	raw, err := os.ReadFile(kept.data)
	if err == nil {
		var data debusine.SystemTarballData
		if err := json.Unmarshal(raw, &data); err != nil {
			return 0, fmt.Errorf("reading %s: %w; hint: remove it", kept.data, err)
		}
		if data.Mirror == url && data.Codename == suite {
			a, err := h.CreateArtifact(ctx, client.NewArtifact{Category: debusine.CategorySystemTarball, Data: data,
				Workspace: workspace, Files: map[string]string{data.Filename: kept.tarball}}, nil)
			return a.ID, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	fmt.Printf("  making an environment of %s; a minute or two\n", suite)
	return h.bootstrap(ctx, url, suite, kept)
}

func (h *house) bootstrap(ctx context.Context, url, suite string, kept keptEnvironment) (int64, error) {
	w, err := h.ask(ctx, "mmdebstrap", map[string]any{
		"bootstrap_options":      map[string]any{"architecture": architecture, "variant": "buildd"},
		"bootstrap_repositories": []map[string]any{{"mirror": url, "suite": suite, "components": []string{"main"}}},
	})
	if err != nil {
		return 0, err
	}
	if _, err := h.await(ctx, w.ID, 500*time.Millisecond); err != nil {
		return 0, err
	}
	made, err := client.Collect(h.Artifacts(ctx, client.ArtifactFilter{WorkRequest: w.ID, Category: debusine.CategorySystemTarball}), 0)
	if err != nil {
		return 0, err
	}
	if len(made) != 1 {
		return 0, fmt.Errorf("work request %d made %d environments", w.ID, len(made))
	}
	artifact, err := h.Artifact(ctx, made[0].ID)
	if err != nil {
		return 0, err
	}
	return artifact.ID, h.keepEnvironment(ctx, artifact, kept)
}

// keepEnvironment writes the data last: it says that the tarball is whole.
func (h *house) keepEnvironment(ctx context.Context, a api.Artifact, kept keptEnvironment) error {
	var data debusine.SystemTarballData
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return err
	}
	os.Remove(kept.data)
	file, err := os.OpenFile(kept.tarball, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := h.Download(ctx, a, data.Filename, file, nil); err != nil {
		return err
	}
	return os.WriteFile(kept.data, a.Data, 0o644)
}

// fetchSource downloads a source package from the mirror, whatever the machine's
// own apt says about sources, and gives the path of the .dsc.
func fetchSource(ctx context.Context, dir, url, suite, name string) (dsc string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return "", err
	}
	list := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(list, []byte("deb-src "+url+" "+suite+" main\n"), 0o644); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"update"}, {"source", "--download-only", name}} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=-",
			"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache=",
			"-o", "APT::Sandbox::User=root"}, args...)...)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, said)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, name+"_*.dsc"))
	if err != nil || len(found) != 1 {
		return "", errors.Join(err, fmt.Errorf("apt-get fetched %d .dsc files of %s", len(found), name))
	}
	return found[0], nil
}

// importSource makes the artifact of a .dsc that lies beside its files.
func (h *house) importSource(ctx context.Context, path string) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	dsc, err := debian.ParseDSC(file)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", path, err)
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(path), dsc.Source+"_*"))
	if err != nil {
		return 0, err
	}
	files := map[string]string{}
	for _, path := range found {
		files[filepath.Base(path)] = path
	}
	a, err := h.CreateArtifact(ctx, client.NewArtifact{Category: debusine.CategorySourcePackage, Workspace: workspace, Files: files,
		Data: debusine.SourcePackageData{Name: dsc.Source, Version: dsc.Version.String(), Type: "dpkg", DscFields: dsc.Fields()}}, nil)
	return a.ID, err
}
