package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"debusine"
	"debusine/crash"
	"debusine/debian"
	"debusine/dput"
	"debusine/files"
	"debusine/store"
	"debusine/task"
)

// UploadRecords is what uploading needs of the store.
type UploadRecords interface {
	UploadFiles(ctx context.Context, workRequest, artifact int64) (list []store.UploadFile, place string, err error)
	OneUpload(ctx context.Context, u store.Upload, do func(context.Context, store.Upload) error) error
	BeginUpload(ctx context.Context, u store.Upload) error
	EndUpload(ctx context.Context, u store.Upload) error
	UploadHasFile(ctx context.Context, target, name, sum string) (bool, error)
}

// Uploads brings uploads to the queues of archives: packageupload.
type Uploads struct {
	Records UploadRecords
	Files   *files.Disk
	Sender  dput.Sender
	Targets Targets
	Keyring *dput.Keyring // whose signatures are accepted; nil: anybody's
	Log     *slog.Logger
}

// Targets are where uploads may go, as the server's administrator says.
type Targets []permitted

type permitted struct {
	place string // SCOPE/WORKSPACE; empty: all
	under dput.Target
}

// ParseTargets reads [SCOPE/WORKSPACE=]URL, several with commas between them.
func ParseTargets(text string) (list Targets, err error) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		var p permitted
		url := word
		if place, rest, named := strings.Cut(word, "="); named && !strings.Contains(place, ":") {
			if p.place, url = place, rest; strings.Count(place, "/") != 1 {
				return nil, debusine.Invalid{What: fmt.Sprintf("%.80q is not SCOPE/WORKSPACE", place), Hint: "for example debusine/System=ftp://HOST/PATH"}
			}
		}
		if p.under, err = dput.ParseTarget(url); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Permit reads a target that a workspace may upload to: one of those named, or a
// folder within.
func (l Targets) Permit(place, url string) (dput.Target, error) {
	t, err := dput.ParseTarget(url)
	if err != nil {
		return t, err
	}
	for _, p := range l {
		within := t
		within.Path = p.under.Path
		inside := t.Path == p.under.Path || strings.HasPrefix(t.Path, strings.TrimSuffix(p.under.Path, "/")+"/")
		if (p.place == "" || p.place == place) && within == p.under && inside {
			return t, nil
		}
	}
	return t, debusine.Forbidden{What: fmt.Sprintf("%s may not upload to %s", place, t), Hint: "the server's administrator permits targets: debusine server --upload-targets " + t.String()}
}

// Check says whether a workspace may upload to a target.
func (l Targets) Check(place, url string) error {
	_, err := l.Permit(place, url)
	return err
}

// Do is the Doer of packageupload. A network that is away is waited for, for some
// hours; a refusal is a result.
func (u *Uploads) Do(ctx context.Context, job store.ServerJob) (debusine.Result, debusine.OutputData, error) {
	var (
		data    task.PackageUploadData
		dynamic struct {
			Upload int64 `json:"input_upload_id"`
		}
		output debusine.OutputData
	)
	if err := errors.Join(json.Unmarshal(job.Data, &data), json.Unmarshal(job.Dynamic, &dynamic)); err != nil {
		return "", output, debusine.Invalidf("the data of the work request cannot be read: %v", err)
	}
	list, place, err := u.Records.UploadFiles(ctx, job.ID, dynamic.Upload)
	if err != nil {
		return "", output, err
	}
	target, err := u.Targets.Permit(place, data.Target)
	if err != nil {
		return "", output, err
	}
	target = target.Delayed(data.DelayedDays)
	checked, err := u.check(ctx, list, data, target)
	if err != nil {
		return "", output, err
	}
	for _, w := range checked.Warnings {
		u.Log.Warn("an upload is unusual", "work_request", job.ID, "warning", w)
		output.Notes = append(output.Notes, w)
	}
	one := delivery{Uploads: u, job: job, force: data.Force, checked: checked, target: target}
	result, err := one.do(ctx, &output)
	return result, output, err
}

// check looks at the upload as dput does.
func (u *Uploads) check(ctx context.Context, list []store.UploadFile, data task.PackageUploadData, target dput.Target) (dput.Checked, error) {
	// Who keeps a keyring decides: whoever starts the workflow cannot do without it.
	signed := u.Keyring != nil || data.RequireSignature == nil || *data.RequireSignature
	rules := dput.Rules{Signed: signed, Keyring: u.Keyring, Known: func(name, sum string) bool {
		has, err := u.Records.UploadHasFile(ctx, target.String(), name, sum)
		return err == nil && has
	}}
	var all []dput.File
	for _, f := range list {
		all = append(all, dput.File{Name: f.Name, Size: f.Size, SHA256: f.SHA256, Open: func() (io.ReadSeekCloser, error) { return u.Files.Open(f.SHA256) }})
	}
	return dput.Check(all, rules)
}

// delivery is one upload to one target.
type delivery struct {
	*Uploads
	job     store.ServerJob
	force   bool
	checked dput.Checked
	target  dput.Target
}

func (d delivery) do(ctx context.Context, output *debusine.OutputData) (result debusine.Result, err error) {
	record := store.Upload{Target: d.target.String(), Changes: d.checked.File.Name, ChangesSHA: d.checked.File.SHA256, WorkRequest: d.job.ID, Files: map[string]string{}}
	for _, f := range d.checked.Files {
		record.Files[f.Name] = f.SHA256
	}
	if record.Content, err = content(d.job.Workspace, d.checked); err != nil {
		return "", err
	}
	err = d.Records.OneUpload(ctx, record, func(ctx context.Context, known store.Upload) (err error) {
		result, err = d.send(ctx, record, known, output)
		return err
	})
	return result, err
}

// send looks at what is known of the upload, and sends what is not.
func (d delivery) send(ctx context.Context, record, known store.Upload, output *debusine.OutputData) (debusine.Result, error) {
	mine := known.WorkRequest == d.job.ID
	switch {
	case !known.Done.IsZero() && mine:
		return debusine.Success, nil // it was cut off before it could say so
	case !known.Done.IsZero() && !d.force:
		output.SkipReason = fmt.Sprintf("%s was uploaded there on %s, by work request %d; force: true uploads it again",
			record.Changes, known.Done.UTC().Format(time.DateTime), known.WorkRequest)
		return debusine.Skipped, nil
	case d.force && !mine:
		known.Begun, known.Blind = time.Time{}, false
	}
	receipt, err := d.Sender.Send(ctx, dput.Parcel{Target: d.target, Files: d.checked.Files, Changes: d.checked.File, Begun: known.Begun, Blind: known.Blind,
		Committing: func(ctx context.Context, blind bool) error {
			record.Blind = blind
			if err := d.Records.BeginUpload(ctx, record); err != nil {
				return err
			}
			crash.Point(crash.Sending)
			return nil
		}})
	switch {
	case err != nil && (ctx.Err() != nil || debusine.IsFault(err)):
		return "", err
	case err != nil:
		output.Errors = append(output.Errors, debusine.TaskError{Message: err.Error(), Code: "upload-failed"})
		return debusine.TemporaryFailure, nil
	}
	crash.Point(crash.Sent)
	d.note(receipt, output)
	// What the queue has is so, also when the work request was aborted meanwhile.
	return debusine.Success, d.Records.EndUpload(context.WithoutCancel(ctx), record)
}

// note tells what is not obvious about an upload that arrived.
func (d delivery) note(r dput.Receipt, output *debusine.OutputData) {
	d.Log.Info("an upload arrived", "work_request", d.job.ID, "target", d.target.String(), "changes", d.checked.File.Name, "sent", len(r.Sent), "kept", len(r.Kept),
		"bytes", r.Bytes, "encrypted", r.Secure, "signed_by", strings.Join(d.checked.Signers, ","))
	say := func(what string) { output.Notes = append(output.Notes, what) }
	if r.Already {
		say("the .changes lay in the queue already")
	}
	if r.Taken {
		say("the server did not acknowledge the .changes, and the queue has been emptied since: it was taken")
	}
	if r.Unread {
		say("the queue cannot be read: what lay there was compared by its size")
	}
}

// content is a digest of what an upload is, whoever signs it and when: what it is
// for, its .dsc without the signature, and its other files but for .buildinfo,
// which lists the signed .dsc.
func content(workspace int64, c dput.Checked) (string, error) {
	p := c.Changes.Paragraph
	lines := []string{p.Get("Source"), p.Get("Version"), p.Get("Architecture"), p.Get("Distribution")}
	for _, f := range c.Files {
		switch {
		case strings.HasSuffix(f.Name, ".buildinfo"):
			continue
		case strings.HasSuffix(f.Name, ".dsc"):
			text, err := unsigned(f)
			if err != nil {
				return "", err
			}
			sum := sha256.Sum256(bytes.TrimSpace(text))
			lines = append(lines, f.Name+" "+hex.EncodeToString(sum[:]))
		default:
			lines = append(lines, f.Name+" "+f.SHA256)
		}
	}
	slices.Sort(lines[4:])
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", workspace, strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// longestDSC bounds a .dsc, in bytes; Check has read it already.
const longestDSC = 16 << 20

func unsigned(f dput.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return debian.ReadClearsigned(r, longestDSC)
}
