package workeract

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"debusine"
	"debusine/debian"
	"debusine/executor"
	"debusine/task"
)

// makeSourceUpload makes a .changes for a source package: spec §3.9.
type makeSourceUpload struct {
	data *task.MakeSourcePackageUploadData
	sbuild
}

func (m *makeSourceUpload) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	var in sbuildInputs
	if err := json.Unmarshal(a.job.Dynamic, &in); err != nil {
		return executor.Command{}, unusablef("the dynamic task data cannot be read: %v", err)
	}
	if err := m.fetchSource(ctx, a, in.Source); err != nil {
		return executor.Command{}, err
	}
	reason, err := m.checkSource()
	if err != nil {
		return executor.Command{}, err
	}
	if reason != "" {
		return executor.Command{}, unusablef("%s", reason)
	}
	return m.command(a)
}

// command unpacks the source and describes it, with the upstream source: who
// uploads does not know what the archive has.
func (m *makeSourceUpload) command(a *attempt) (executor.Command, error) {
	version, err := debian.ParseVersion(m.version)
	if err != nil {
		return executor.Command{}, unusablef("artifact %d: %v", m.source.ID, err)
	}
	m.buildFiles = filepath.Join(a.folder.Work, "build")
	changes := m.name + "_" + version.WithoutEpoch() + "_source.changes"
	options := []string{"-S", "-sa", "-u../build"}
	if m.data.SinceVersion != "" {
		options = append(options, "-v"+m.data.SinceVersion)
	}
	if m.data.TargetDistribution != "" {
		options = append(options, "-DDistribution="+m.data.TargetDistribution)
	}
	argv := append([]string{"sh", "-ec", `cp "$1"/* .; dpkg-source --no-check -x "$2" ../tree; out=$3; shift 3; cd ../tree; dpkg-genchanges "$@" >"../build/$out"`,
		"sh", filepath.Dir(m.dsc), filepath.Base(m.dsc), changes}, options...)
	return executor.Command{Argv: inNewFolder("build", argv)}, nil
}

func (m *makeSourceUpload) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	if !ran.Succeeded() {
		return debusine.Failure, nil
	}
	b, err := a.takeUpload(m.buildFiles)
	if err != nil {
		return "", err
	}
	if err := m.isOurs(b, nil); err != nil {
		return "", err
	}
	for _, f := range b.changes.Files {
		if have, found := m.source.Files[f.Name]; !found || have.Size != f.Size || have.Checksums["sha256"] != f.SHA256 {
			return "", unusablef("%s lists %s, which is not as the source package has it", b.name, f.Name)
		}
	}
	id, err := a.server.CreateFrom(ctx, debusine.CategoryUpload, debusine.UploadData{Type: "dpkg", ChangesFields: b.changes.Fields()},
		map[string]string{b.name: filepath.Join(b.dir, b.name)}, listedOf(b.changes, m.source.Files))
	if err != nil {
		return "", fmt.Errorf("uploading %s: %w", b.name, err)
	}
	return debusine.Success, a.relate(ctx, []relation{{id, m.source.ID, "extends"}, {id, m.source.ID, "relates-to"}})
}
