package workeract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"debusine"
	"debusine/api"
	"debusine/debian"
)

// longestChanges is the longest .changes that is merged, in bytes.
const longestChanges = 16 << 20

// mergeUploads makes one upload of several: spec §3.9. It reads their .changes
// alone; the other files stay where they are.
func (d *Doer) mergeUploads(ctx context.Context, job Job, server Server) (Outcome, error) {
	start := time.Now()
	folder, err := d.machine.NewFolder(job.WorkRequest)
	if err != nil {
		return Outcome{}, err
	}
	defer func() {
		if err := folder.Remove(); err != nil {
			d.log.Error("a work folder stays behind", "path", folder.Path, "error", err)
		}
	}()
	m := &merging{server: server, dir: folder.Path, files: map[string]api.File{}}
	err = m.do(ctx, job)
	if log := m.log.String(); log != "" {
		if err := server.AppendLog(ctx, 0, []byte(log)); err != nil {
			d.log.Warn("the log of a merge is lost", "work_request", job.WorkRequest, "error", err)
		}
	}
	if conflict := (debian.Malformed{}); errors.As(err, &conflict) {
		return Outcome{Result: debusine.Failure, OutputData: debusine.OutputData{Errors: []debusine.TaskError{{Message: err.Error(), Code: "conflict"}}}}, nil
	}
	if isUnusable(err) {
		return hopeless("execute-failed", err), nil
	}
	seconds := whole(time.Since(start))
	return Outcome{Result: debusine.Success, OutputData: debusine.OutputData{RuntimeStatistics: &debusine.RuntimeStatistics{Duration: seconds}}}, err
}

// merging is one merge under way.
type merging struct {
	server  Server
	dir     string
	log     strings.Builder
	uploads []int64
	changes []*debian.Changes
	files   map[string]api.File // of all, by name, without the .changes
}

func (m *merging) do(ctx context.Context, job Job) error {
	var in struct {
		Uploads []int64 `json:"input_uploads_ids"`
	}
	if err := json.Unmarshal(job.Dynamic, &in); err != nil {
		return unusablef("the dynamic task data cannot be read: %v", err)
	}
	seen := map[int64]bool{}
	for _, id := range in.Uploads {
		if seen[id] {
			return unusablef("artifact %d is to be merged with itself", id)
		}
		seen[id] = true
		if err := m.read(ctx, id); err != nil {
			return err
		}
	}
	m.uploads = in.Uploads
	merged, err := debian.MergeChanges(m.changes...)
	if err != nil {
		return err
	}
	return m.give(ctx, merged.String()+"\n")
}

// read fetches the .changes of an upload and notes its other files. Two that
// have the same name must be the same.
func (m *merging) read(ctx context.Context, id int64) error {
	artifact, err := m.server.Artifact(ctx, id)
	if err != nil {
		return fmt.Errorf("asking for an upload, artifact %d: %w", id, err)
	}
	var name string
	for file := range artifact.Files {
		if strings.HasSuffix(file, ".changes") {
			name = file
		}
	}
	if artifact.Category != debusine.CategoryUpload || name == "" || artifact.Files[name].Size > longestChanges {
		return unusablef("artifact %d is no upload with a .changes of at most %d bytes", id, longestChanges)
	}
	path := filepath.Join(m.dir, fmt.Sprint(id)+".changes")
	if err := fetchOne(ctx, m.server, id, name, path); err != nil {
		return fmt.Errorf("fetching %s of artifact %d: %w", name, id, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	changes, err := debian.ParseChanges(file)
	if err != nil {
		return unusablef("%s of artifact %d: %v", name, id, err)
	}
	for _, f := range changes.Files {
		have, found := artifact.Files[f.Name]
		if !found || have.Size != f.Size || have.Checksums["sha256"] != f.SHA256 {
			return unusablef("%s of artifact %d lists %s, which is not as the upload has it", name, id, f.Name)
		}
		m.files[f.Name] = have // MergeChanges compares those of one name
	}
	fmt.Fprintf(&m.log, "artifact %d: %s for %s, %d files, distribution %s\n", id, name, changes.Paragraph.Get("Architecture"), len(changes.Files), changes.Distribution)
	m.changes = append(m.changes, changes)
	return nil
}

// give makes the artifact of the merged upload.
func (m *merging) give(ctx context.Context, text string) error {
	changes, err := debian.ParseChanges(strings.NewReader(text))
	if err != nil {
		return err
	}
	name := changes.Source + "_" + changes.Version.WithoutEpoch() + "_multi.changes"
	path := filepath.Join(m.dir, "merged.changes")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	id, err := m.server.CreateFrom(ctx, debusine.CategoryUpload, debusine.UploadData{Type: "dpkg", ChangesFields: changes.Fields()},
		map[string]string{name: path}, listedOf(changes, m.files))
	if err != nil {
		return fmt.Errorf("uploading %s: %w", name, err)
	}
	for _, upload := range m.uploads {
		if err := m.server.Relate(ctx, id, upload, "extends"); err != nil {
			return fmt.Errorf("relating artifact %d to %d: %w", id, upload, err)
		}
	}
	fmt.Fprintf(&m.log, "merged into %s for %s, %d files, distribution %s\n", name, changes.Paragraph.Get("Architecture"), len(changes.Files), changes.Distribution)
	return nil
}

// listedOf are those files that a .changes lists.
func listedOf(changes *debian.Changes, files map[string]api.File) map[string]api.File {
	listed := map[string]api.File{}
	for _, f := range changes.Files {
		listed[f.Name] = files[f.Name]
	}
	return listed
}
