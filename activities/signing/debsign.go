package signact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/debian"
	"debusine/sign"
	"debusine/sign/vault"
	"debusine/task"
)

// longestControl is the longest .dsc, .buildinfo or .changes that is signed.
const longestControl = 16 << 20

// upload is one that is being signed.
type upload struct {
	*Doer
	job    Job
	key    vault.Key
	server Server
	of     api.Artifact
	texts  map[string][]byte // what is signed, by name: before its signature, and after
	signed map[string][]byte
	dir    string
}

// debsign signs the .dsc and .buildinfo files of an upload, lists them anew in
// its .changes, and signs that: each file after those that it lists.
func (d *Doer) debsign(ctx context.Context, job Job, data *task.DebsignData, server Server) (out debusine.OutputData, err error) {
	var dynamic struct {
		Upload int64 `json:"input_unsigned_id"`
	}
	if json.Unmarshal(job.Dynamic, &dynamic) != nil || dynamic.Upload == 0 {
		return out, debusine.Invalidf("the work request names no upload")
	}
	u := &upload{Doer: d, job: job, server: server, texts: map[string][]byte{}, signed: map[string][]byte{}}
	if u.key, err = d.Vault.Key(ctx, data.Key); err != nil {
		return out, err
	}
	if u.key.Purpose != sign.OpenPGP {
		return out, debusine.Forbiddenf("key %s is for %s, not for uploads", u.key.Fingerprint, u.key.Purpose)
	}
	if u.dir, err = os.MkdirTemp(d.Dir, "debsign-"); err != nil {
		return out, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(u.dir)
	// Asked before anything is fetched, so that who may not learns nothing.
	permit, err := u.ask(ctx, dynamic.Upload)
	if err != nil {
		return out, err
	}
	if err := u.fetch(ctx, permit); err != nil {
		return out, err
	}
	if err := u.signAll(ctx); err != nil {
		return out, err
	}
	return out, u.give(ctx)
}

// ask has the server judge the next signature.
func (u *upload) ask(ctx context.Context, artifact int64) (api.SigningPermit, error) {
	return ask(ctx, u.server, u.key, artifact, "")
}

// ask has the server judge the next signature: of one file, or of any.
func ask(ctx context.Context, server Server, key vault.Key, artifact int64, file string) (api.SigningPermit, error) {
	permit, err := server.SignWith(ctx, key.Fingerprint, artifact, file)
	if err != nil {
		return permit, fmt.Errorf("asking for leave to sign: %w", err)
	}
	if permit.Artifact != artifact || !strings.EqualFold(permit.Asset.Data.Fingerprint, key.Fingerprint) {
		return permit, debusine.Forbiddenf("the server's leave is for artifact %d and key %s", permit.Artifact, permit.Asset.Data.Fingerprint)
	}
	return permit, checkClock(permit.Now)
}

// fetch gets the control files, and nothing else.
func (u *upload) fetch(ctx context.Context, permit api.SigningPermit) (err error) {
	if u.of, err = u.server.Artifact(ctx, permit.Artifact); err != nil {
		return err
	}
	if err := u.same(permit); err != nil {
		return err
	}
	if u.of.Category != debusine.CategoryUpload {
		return debusine.Invalidf("artifact %d is a %s, no upload", u.of.ID, u.of.Category)
	}
	for _, name := range slices.Sorted(maps.Keys(u.of.Files)) {
		if !isControl(name) {
			continue
		}
		if _, err := debian.ParseFileName(name); err != nil {
			return debusine.Invalidf("artifact %d: %v", u.of.ID, err)
		}
		if u.texts[name], err = u.text(ctx, name); err != nil {
			return err
		}
	}
	return u.consistent()
}

func isControl(name string) bool {
	return slices.Contains([]string{".dsc", ".buildinfo", ".changes"}, filepath.Ext(name))
}

// same compares the artifact with what the leave is for.
func (u *upload) same(permit api.SigningPermit) error { return same(u.of, permit) }

func same(of api.Artifact, permit api.SigningPermit) error {
	var madeBy int64
	if of.CreatedByWorkRequest != nil {
		madeBy = *of.CreatedByWorkRequest
	}
	if madeBy != permit.MadeBy || len(permit.Files) != len(of.Files) {
		return debusine.Forbiddenf("artifact %d is not the output that may be signed", of.ID)
	}
	for name := range of.Files {
		if err := sameFile(of, name, permit); err != nil {
			return err
		}
	}
	return nil
}

func sameFile(of api.Artifact, name string, permit api.SigningPermit) error {
	if permit.Files[name] == "" || permit.Files[name] != of.Files[name].Checksums["sha256"] {
		return debusine.Forbiddenf("file %.80q of artifact %d is not the one that may be signed", name, of.ID)
	}
	return nil
}

// text gives a control file without the signature that it may have.
func (u *upload) text(ctx context.Context, name string) ([]byte, error) {
	if size := u.of.Files[name].Size; size > longestControl {
		return nil, debusine.Invalidf("%s has %d bytes, %d are allowed", name, size, longestControl)
	}
	f, err := os.OpenFile(filepath.Join(u.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", name, err)
	}
	defer f.Close()
	if err := u.server.Download(ctx, u.of.ID, name, f); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", name, err)
	}
	raw, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	text, err := debian.ReadClearsigned(bytes.NewReader(raw), longestControl)
	if err != nil {
		return nil, debusine.Invalidf("%s: %v", name, err)
	}
	return text, nil
}

// consistent refuses an upload whose .changes lists other files than it has: the
// signature would be about those.
func (u *upload) consistent() error {
	changes, name, err := u.changes(u.texts)
	if err != nil {
		return err
	}
	listed := map[string]bool{name: true}
	for _, f := range changes.Files {
		held, ok := u.of.Files[f.Name]
		if !ok || held.Size != f.Size || held.Checksums["sha256"] != f.SHA256 {
			return debusine.Invalidf("%s lists %s, but the upload does not hold that file as it is listed", name, f.Name)
		}
		listed[f.Name] = true
	}
	for file := range u.of.Files {
		if !listed[file] {
			return debusine.Invalidf("the upload holds %.80q, which %s does not list", file, name)
		}
	}
	for file, text := range u.texts {
		if filepath.Ext(file) != ".dsc" {
			continue
		}
		dsc, err := debian.ParseDSC(bytes.NewReader(text))
		if err != nil {
			return debusine.Invalidf("%s: %v", file, err)
		}
		if dsc.Source != changes.Source || dsc.Version.Compare(changes.SourceVersion) != 0 {
			return debusine.Invalidf("%s is about %s %s, but %s about %s %s", file, dsc.Source, dsc.Version, name, changes.Source, changes.SourceVersion)
		}
	}
	return nil
}

// changes parses the one .changes among texts.
func (u *upload) changes(texts map[string][]byte) (*debian.Changes, string, error) {
	var names []string
	for name := range texts {
		if filepath.Ext(name) == ".changes" {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		return nil, "", debusine.Invalidf("the upload has %d .changes files, not one", len(names))
	}
	changes, err := debian.ParseChanges(bytes.NewReader(texts[names[0]]))
	if err != nil {
		return nil, "", debusine.Invalidf("%s: %v", names[0], err)
	}
	return changes, names[0], nil
}

// signAll signs in the order in which the files list one another.
func (u *upload) signAll(ctx context.Context) error {
	for _, kind := range []string{".dsc", ".buildinfo", ".changes"} {
		for _, name := range slices.Sorted(maps.Keys(u.texts)) {
			if filepath.Ext(name) != kind {
				continue
			}
			if err := u.signOne(ctx, name, kind); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	changes, name, err := u.changes(u.signed)
	if err != nil {
		return err
	}
	for _, f := range changes.Files {
		if content, ours := u.signed[f.Name]; ours && (f.SHA256 != sumOf(content) || f.Size != int64(len(content))) {
			return debusine.Invalidf("%s lists files in a form that cannot be written anew", name)
		}
	}
	return nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// signOne makes one signature, for which the server is asked once more.
func (u *upload) signOne(ctx context.Context, name, kind string) error {
	text := u.texts[name]
	if kind != ".dsc" {
		var err error
		if text, err = debian.Relist(text, u.signed); err != nil {
			return err
		}
	}
	permit, err := u.ask(ctx, u.of.ID)
	if err != nil {
		return err
	}
	if err := u.same(permit); err != nil {
		return err
	}
	if kind == ".changes" {
		text = u.withOrigin(text, permit)
	}
	signed, err := u.Vault.SignOpenPGP(ctx, u.key, sign.Clear, text, vault.Cause{User: permit.User, WorkRequest: u.job.WorkRequest,
		Artifact: u.of.ID, Resource: name, Approvals: permit.Approvals})
	if err != nil {
		return err
	}
	u.signed[name] = signed
	u.Log.Info("signed", "file", name, "artifact", u.of.ID, "key", u.key.Fingerprint, "user", permit.User, "work_request", u.job.WorkRequest)
	return nil
}

// withOrigin says in a .changes on whose behalf it was signed, in place of what an
// earlier one says.
func (u *upload) withOrigin(text []byte, permit api.SigningPermit) []byte {
	var out bytes.Buffer
	skipping := false
	for line := range bytes.Lines(bytes.TrimRight(text, "\n")) {
		if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(strings.ToLower(string(line)), ":")
			skipping = slices.Contains([]string{"debusine-user", "debusine-work-request", "debusine-workflow"}, name)
		}
		if !skipping {
			out.Write(line)
		}
	}
	fmt.Fprintf(&out, "\nDebusine-User: %s\nDebusine-Work-Request: %d\n", permit.User, u.job.WorkRequest)
	return bytes.ReplaceAll(out.Bytes(), []byte("\n\n"), []byte("\n"))
}

// give makes the artifact of the signed upload.
func (u *upload) give(ctx context.Context) error {
	files, same := map[string]string{}, maps.Clone(u.of.Files)
	for name, content := range u.signed {
		path := filepath.Join(u.dir, name+".signed")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		files[name] = path
		delete(same, name)
	}
	changes, _, err := u.changes(u.signed)
	if err != nil {
		return err
	}
	id, err := u.server.CreateFrom(ctx, debusine.CategoryUpload, debusine.UploadData{Type: "dpkg", ChangesFields: changes.Fields()}, files, same)
	if err != nil {
		return fmt.Errorf("uploading what was signed: %w", err)
	}
	return u.server.Relate(ctx, id, u.of.ID, "relates-to")
}
