package signact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/vault"
	"debusine/task"
)

// Bounds on what one artifact may have signed, in bytes.
const (
	longestFile = 512 << 20
	longestAll  = 4 << 30
	longestPath = 500 // of a signature in its artifact
)

// signing is one run of the task sign: spec §3.10.
type signing struct {
	*Doer
	job    Job
	data   *task.SignData
	key    vault.Key
	server Server
	dir    string
	inputs []*signingInput
	// signed counts good signatures, refused the others; first is why.
	signed, refused int
	first           string
}

// signingInput is an artifact whose files are signed, and what has come of them.
type signingInput struct {
	of    api.Artifact
	data  debusine.SigningInputData
	out   debusine.SigningOutputData
	files map[string]string // of the output: path in the artifact to path on disk
}

// sign signs each file of its inputs. A file that cannot be signed is an entry of
// the output, and makes the work request fail; what must not be signed, of
// whatever file, ends the work before any artifact is made.
func (d *Doer) sign(ctx context.Context, job Job, data *task.SignData, server Server) (result debusine.Result, out debusine.OutputData, err error) {
	s := &signing{Doer: d, job: job, data: data, server: server}
	if err := s.open(ctx); err != nil {
		return "", out, err
	}
	if s.dir, err = os.MkdirTemp(d.Dir, "sign-"); err != nil {
		return "", out, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(s.dir)
	for _, in := range s.inputs {
		for _, name := range slices.Sorted(maps.Keys(in.of.Files)) {
			if err := s.signOne(ctx, in, name); err != nil {
				return "", out, fmt.Errorf("%s of artifact %d: %w", name, in.of.ID, err)
			}
		}
	}
	for _, in := range s.inputs {
		if err := s.give(ctx, in); err != nil {
			return "", out, err
		}
	}
	if s.signed > 0 && s.refused == 0 {
		return debusine.Success, out, nil
	}
	out.Errors = []debusine.TaskError{{Message: fmt.Sprintf("%d of %d files were not signed. The first: %s", s.refused, s.refused+s.signed, s.first), Code: "execute-failed"}}
	return debusine.Failure, out, nil
}

// open finds the key, and looks at all inputs before anything is signed.
func (s *signing) open(ctx context.Context) (err error) {
	var dynamic struct {
		Unsigned []int64 `json:"input_unsigned_ids"`
	}
	if json.Unmarshal(s.job.Dynamic, &dynamic) != nil || len(dynamic.Unsigned) == 0 {
		return debusine.Invalidf("the work request names nothing to be signed")
	}
	if s.key, err = s.Vault.Key(ctx, s.data.Key); err != nil {
		return err
	}
	if string(s.key.Purpose) != s.data.Purpose {
		return debusine.Forbiddenf("key %s is for %s, not for %s", s.key.Fingerprint, s.key.Purpose, s.data.Purpose)
	}
	for i, id := range dynamic.Unsigned {
		if slices.Contains(dynamic.Unsigned[:i], id) {
			continue
		}
		if err := s.look(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// look compares an input with what the server says may be signed, and checks it
// as if nobody had.
func (s *signing) look(ctx context.Context, id int64) error {
	// Asked before anything is fetched, so that who may not learns nothing.
	permit, err := ask(ctx, s.server, s.key, id, "")
	if err != nil {
		return err
	}
	in := &signingInput{files: map[string]string{}}
	if in.of, err = s.server.Artifact(ctx, id); err != nil {
		return err
	}
	if err := same(in.of, permit); err != nil {
		return err
	}
	if in.of.Category != debusine.CategorySigningInput {
		return debusine.Invalidf("artifact %d is a %s, no %s", id, in.of.Category, debusine.CategorySigningInput)
	}
	data, err := debusine.ParseArtifactData(in.of.Category, in.of.Data, slices.Sorted(maps.Keys(in.of.Files)))
	if err != nil {
		return fmt.Errorf("artifact %d: %w", id, err)
	}
	in.data = *data.(*debusine.SigningInputData)
	var all int64
	for _, f := range in.of.Files {
		all += f.Size
	}
	if all > longestAll {
		return debusine.Invalidf("artifact %d has %d bytes to be signed, %d are allowed", id, all, int64(longestAll))
	}
	in.out = debusine.SigningOutputData{Purpose: s.data.Purpose, Fingerprint: s.key.Fingerprint, BinaryPackageName: in.data.BinaryPackageName, Results: []debusine.SigningResult{}}
	s.inputs = append(s.inputs, in)
	return s.trusted(in)
}

// trusted refuses code that trusts certificates which this installation does not:
// a production key on a loader that boots test kernels would undo Secure Boot.
func (s *signing) trusted(in *signingInput) error {
	for _, cert := range in.data.TrustedCerts {
		if !slices.ContainsFunc(s.TrustedCerts, func(known string) bool { return strings.EqualFold(known, cert) }) {
			return debusine.Forbidden{What: fmt.Sprintf("artifact %d trusts the certificate %s, which is not among those that code signed here may trust", in.of.ID, cert),
				Hint: "if it may, the signing worker is told so: DEBUSINE_SIGNING_TRUSTED_CERTS (debusine signing --signing-trusted-certs)"}
		}
	}
	return nil
}

// signOne signs one file, for which the server is asked once more.
func (s *signing) signOne(ctx context.Context, in *signingInput, name string) error {
	if why := s.unfit(in, name); why != "" {
		s.note(in, debusine.SigningResult{File: name, ErrorMessage: why})
		return nil
	}
	// What others chose names nothing on our disk.
	from := filepath.Join(s.dir, "file")
	to := filepath.Join(s.dir, fmt.Sprintf("signed-%d", s.signed))
	if err := s.fetch(ctx, in, name, from); err != nil {
		return err
	}
	defer os.Remove(from)
	permit, err := ask(ctx, s.server, s.key, in.of.ID, name)
	if err != nil {
		return err
	}
	if err := sameFile(in.of, name, permit); err != nil {
		return err
	}
	err = s.Vault.SignFile(ctx, s.key, sign.Mode(s.data.Mode), from, to, vault.Cause{User: permit.User, WorkRequest: s.job.WorkRequest,
		Artifact: in.of.ID, Resource: name, Approvals: permit.Approvals})
	var bad debusine.Invalid
	if errors.As(err, &bad) {
		s.note(in, debusine.SigningResult{File: name, ErrorMessage: bad.What})
		return nil
	}
	if err != nil {
		return err
	}
	output := name + s.suffix()
	in.files[output] = to
	s.note(in, debusine.SigningResult{File: name, OutputFile: output})
	s.Log.Info("signed", "file", name, "artifact", in.of.ID, "key", s.key.Fingerprint, "user", permit.User, "work_request", s.job.WorkRequest)
	return nil
}

// suffix tells a signature from what it is of.
func (s *signing) suffix() string {
	if s.data.Mode == string(sign.Attached) {
		return ".signed"
	}
	return ".sig"
}

// unfit says why a file is not even fetched; nothing when it may be.
func (s *signing) unfit(in *signingInput, name string) string {
	base := filepath.Base(name)
	for _, packed := range []string{".xz", ".gz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	switch size := in.of.Files[name].Size; {
	case filepath.Ext(base) == ".ko":
		return "kernel modules (.ko) are not signed here"
	case size > longestFile:
		return fmt.Sprintf("the file has %d bytes, %d are allowed", size, longestFile)
	case len(name)+len(s.suffix()) > longestPath:
		return "the file's path is too long to have a signature beside it"
	}
	return ""
}

func (s *signing) note(in *signingInput, r debusine.SigningResult) {
	in.out.Results = append(in.out.Results, r)
	if r.ErrorMessage == "" {
		s.signed++
		return
	}
	if s.refused++; s.refused == 1 {
		s.first = r.File + ": " + r.ErrorMessage
	}
	s.Log.Info("not signed", "file", r.File, "artifact", in.of.ID, "work_request", s.job.WorkRequest, "reason", r.ErrorMessage)
}

// fetch downloads a file, whose SHA-256 is then the one that was permitted.
func (s *signing) fetch(ctx context.Context, in *signingInput, name, to string) error {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("fetching: %w", err)
	}
	err = s.server.Download(ctx, in.of.ID, name, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("fetching: %w", err)
	}
	return nil
}

// give makes the artifact of what came of one input.
func (s *signing) give(ctx context.Context, in *signingInput) error {
	id, err := s.server.CreateFrom(ctx, debusine.CategorySigningOutput, in.out, in.files, nil)
	if err != nil {
		return fmt.Errorf("uploading what was signed: %w", err)
	}
	return s.server.Relate(ctx, id, in.of.ID, "relates-to")
}
