package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
	"debusine/client"
	"debusine/debian"
	"debusine/dput"
)

func workRequestSignCommand() *cli.Command {
	return &cli.Command{
		Name: "sign", Aliases: []string{"provide-signature"}, Usage: "sign an upload with your own key, for a workflow that waits for it", ArgsUsage: "ID",
		Description: "Downloads the .dsc, .buildinfo and .changes of the upload that work request ID waits for, and nothing else, has gpg (or sq)\n" +
			"sign them, and uploads what it signed. The server verifies that nothing else was changed and whose key it was.\n" +
			"What was cut goes on where it stopped when you start it again, without signing anew: for 30 days.\n\n" +
			"Example: debusine work-request sign 34 --key 0123456789ABCDEF0123456789ABCDEF01234567",
		Flags: append(signerFlags(),
			&cli.StringSliceFlag{Name: "local-file", Aliases: []string{"l"}, Usage: "`FILE` is one of the files, as it was built here: compared, not downloaded"},
			&cli.StringFlag{Name: "work-directory", Usage: "keep what is under way in `DIR` (default: debusine/sign in the user's cache)", EnvVars: []string{"DEBUSINE_SIGN_DIRECTORY"}}),
		Action: talk(workRequestSign),
	}
}

func workRequestSign(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	by, err := newSigner(s)
	if err != nil {
		return err
	}
	w, err := s.api.ExternalDebsign(s.ctx(), id)
	if err != nil {
		return err
	}
	d, err := openDesk(s, id)
	if err != nil {
		return err
	}
	if debusine.Status(w.Status).Ended() {
		return d.over(w)
	}
	if err := d.sign(w, by); err != nil {
		return err
	}
	return d.handIn(w)
}

// desk is the folder where a signature is made, for one work request of one
// server. What lies there is enough to go on after any interruption.
type desk struct {
	*session
	id   int64
	dir  string
	root *os.Root
}

// The parts of a desk.
const (
	wantedDir   = "unsigned"
	signedDir   = "signed"
	artifactKey = "artifact" // the number of the one under way
)

func openDesk(s *session, id int64) (*desk, error) {
	base := s.String("work-directory")
	if base == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("looking for the user's cache: %w; hint: --work-directory DIR", err)
		}
		base = filepath.Join(cache, "debusine", "sign")
	}
	place := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/:", r) {
			return '_'
		}
		return r
	}, s.config.apiURL)
	d := &desk{session: s, id: id, dir: filepath.Join(base, fmt.Sprintf("%s-%s-%d", place, s.config.scope, id))}
	for _, part := range []string{wantedDir, signedDir} {
		if err := os.MkdirAll(filepath.Join(d.dir, part), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	d.root, err = os.OpenRoot(d.dir)
	return d, err
}

// over tells of a wait that has ended; a signature that was handed in and whose
// answer was lost is one.
func (d *desk) over(w api.WorkRequest) error {
	defer os.RemoveAll(d.dir)
	if w.Result == string(debusine.Success) {
		d.note("work request %d has its signature already", d.id)
		return d.out.print(w, func() error { return nil })
	}
	return debusine.Conflictf("work request %d has ended (%s): it waits for no signature any more", d.id, standing(w))
}

// unsigned gives the upload and the names of what is signed of it.
func (d *desk) unsigned(w api.WorkRequest) (a api.Artifact, controls []string, err error) {
	var dynamic struct {
		Unsigned int64 `json:"unsigned_id"`
	}
	if err := json.Unmarshal(w.DynamicTaskData, &dynamic); err != nil || dynamic.Unsigned == 0 {
		return a, nil, fmt.Errorf("the server does not say what work request %d wants signed", d.id)
	}
	if a, err = d.api.Artifact(d.ctx(), dynamic.Unsigned); err != nil {
		return a, nil, err
	}
	for name := range a.Files {
		switch {
		case !dput.IsControl(name):
		case name != filepath.Base(name) || strings.HasPrefix(name, "."):
			return a, nil, fmt.Errorf("artifact %d has a file %q, which is no name of a file to sign", a.ID, name)
		default:
			controls = append(controls, name)
		}
	}
	if len(controls) == 0 {
		return a, nil, fmt.Errorf("artifact %d has nothing that could be signed", a.ID)
	}
	return a, controls, nil
}

// sign has the files signed that are not yet.
func (d *desk) sign(w api.WorkRequest, by signer) error {
	a, controls, err := d.unsigned(w)
	if err != nil {
		return err
	}
	if err := d.fetch(a, controls); err != nil {
		return err
	}
	texts := map[string][]byte{}
	for _, name := range controls {
		if texts[name], err = d.root.ReadFile(filepath.Join(wantedDir, name)); err != nil {
			return err
		}
	}
	if err := d.announce(texts); err != nil {
		return err
	}
	done := map[string][]byte{}
	for _, name := range dput.SigningOrder(controls) {
		if signed, err := d.root.ReadFile(filepath.Join(signedDir, name)); err == nil {
			d.note("%s was signed before", visible(name))
			done[name] = signed
			continue
		}
		text, err := dput.Unsigned(texts[name], done)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		d.note("signing %s", visible(name))
		if done[name], err = by.sign(d.ctx(), d.dir, text); err != nil {
			return fmt.Errorf("signing %s: %w", name, err)
		}
		if err := d.keep(filepath.Join(signedDir, name), done[name]); err != nil {
			return err
		}
	}
	return nil
}

// keep writes a file whole or not at all.
func (d *desk) keep(name string, content []byte) error {
	if err := d.root.WriteFile(name+".part", content, 0o600); err != nil {
		return err
	}
	return d.root.Rename(name+".part", name)
}

// announce says what is about to be signed: who signs must know it.
func (d *desk) announce(texts map[string][]byte) error {
	for name, text := range texts {
		if filepath.Ext(name) != ".changes" {
			continue
		}
		c, err := debian.ParseChanges(strings.NewReader(string(text)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, f := range c.Files {
			if content, listed := texts[f.Name]; listed && int64(len(content)) != f.Size {
				return fmt.Errorf("%s lists %s with %d bytes, it has %d", name, visible(f.Name), f.Size, len(content))
			}
		}
		d.note("%s %s for %s, %d files, to be signed for work request %d", visible(c.Source), visible(c.Version.String()), visible(c.Distribution), len(c.Files), d.id)
	}
	return nil
}

// fetch gets the files to sign: those that the user has are compared, the others
// downloaded and verified.
func (d *desk) fetch(a api.Artifact, controls []string) error {
	local := map[string]string{}
	for _, file := range d.StringSlice("local-file") {
		name := filepath.Base(file)
		if _, wanted := a.Files[name]; !wanted {
			return usage{what: fmt.Sprintf("%s is no file of artifact %d", file, a.ID), hint: fmt.Sprintf("debusine artifact show %d", a.ID)}
		}
		local[name] = file
	}
	wanted, err := d.root.OpenRoot(wantedDir)
	if err != nil {
		return err
	}
	defer wanted.Close()
	progress, end := d.transfer("downloading")
	defer end()
	for _, name := range controls {
		if file, have := local[name]; have {
			content, err := client.ReadSame(d.ctx(), file, a.Files[name])
			if err != nil {
				return err
			}
			if err := d.keep(filepath.Join(wantedDir, name), content); err != nil {
				return err
			}
			continue
		}
		if err := d.downloadFile(d.ctx(), a, wanted, name, progress); err != nil {
			return err
		}
	}
	return nil
}

// handIn uploads what was signed and names it to the server.
func (d *desk) handIn(w api.WorkRequest) error {
	a, controls, err := d.unsigned(w)
	if err != nil {
		return err
	}
	signed, err := d.upload(a, controls, w)
	if err != nil {
		return err
	}
	w, err = d.api.ProvideSignature(d.ctx(), d.id, signed)
	if errors.As(err, new(debusine.Invalid)) {
		// Signed again, it might be accepted; as it is, never.
		return errors.Join(debusine.WithHint(err, fmt.Sprintf("debusine work-request sign %d, with the right key", d.id)), os.RemoveAll(d.dir))
	}
	if err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	return d.out.print(w, func() error {
		_, err := fmt.Fprintf(d.out.to, "work request %d has its signature: artifact %d\n", d.id, signed)
		return err
	})
}

func (d *desk) upload(a api.Artifact, controls []string, w api.WorkRequest) (int64, error) {
	files, same := map[string]string{}, map[string]api.File{}
	var changes *debian.Changes
	for _, name := range controls {
		files[name] = filepath.Join(d.dir, signedDir, name)
		if filepath.Ext(name) != ".changes" {
			continue
		}
		text, err := d.root.ReadFile(filepath.Join(signedDir, name))
		if err != nil {
			return 0, err
		}
		if changes, err = debian.ParseChanges(strings.NewReader(string(text))); err != nil {
			return 0, err
		}
	}
	if changes == nil {
		return 0, fmt.Errorf("artifact %d has no .changes", a.ID)
	}
	for name, file := range a.Files {
		if _, signed := files[name]; !signed {
			same[name] = file
		}
	}
	progress, end := d.transfer("uploading")
	defer end()
	if raw, err := d.root.ReadFile(artifactKey); err == nil {
		if id, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
			up, err := d.api.ResumeArtifact(d.ctx(), id, files, progress)
			if !errors.As(err, new(debusine.Missing)) {
				return up.ID, err
			}
		}
	}
	up, err := d.api.AnnounceArtifact(d.ctx(), client.NewArtifact{Category: debusine.CategoryUpload, Workspace: w.Workspace, Files: files, Same: same,
		Data: debusine.UploadData{Type: "dpkg", ChangesFields: changes.Fields()}})
	if err != nil {
		return 0, err
	}
	if err := d.keep(artifactKey, []byte(strconv.FormatInt(up.ID, 10))); err != nil {
		return 0, err
	}
	_, err = d.api.ResumeArtifact(d.ctx(), up.ID, files, progress)
	return up.ID, err
}
