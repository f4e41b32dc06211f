// Package signact does what signing workers do: it makes keys, and signs
// uploads, with the keys of a vault.
//
// Nothing is believed for being asked. Before each signature the server is asked
// whether it may be made, at that moment; and what is about to be signed is
// compared with what the server says the artifact is, and whose output. A grant
// that was taken back while the work waited, a clock that is off, files that
// changed between plan and signature: each ends the work before the next
// signature.
package signact

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"debusine"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/vault"
	"debusine/task"
)

// Server is what a job needs of the server, spoken with its attempt's token.
type Server interface {
	// SignWith asks whether one file of an artifact, or with "" all, may be signed now.
	SignWith(ctx context.Context, fingerprint string, artifact int64, file string) (api.SigningPermit, error)
	// CreateAsset makes the asset of a key.
	CreateAsset(ctx context.Context, in api.AssetCreate) (api.Asset, error)
	// Artifact gives an artifact with its data and files.
	Artifact(ctx context.Context, id int64) (api.Artifact, error)
	// Download writes one file of an artifact and verifies its SHA-256.
	Download(ctx context.Context, artifact int64, path string, to *os.File) error
	// CreateFrom makes an artifact of local files and of files of an input.
	CreateFrom(ctx context.Context, category string, data any, files map[string]string, same map[string]api.File) (int64, error)
	// Relate joins two artifacts.
	Relate(ctx context.Context, artifact, target int64, kind string) error
}

// Job is one attempt at a work request.
type Job struct {
	WorkRequest int64
	Task        string
	Data        json.RawMessage // configured
	Dynamic     json.RawMessage // lookups resolved
}

// Outcome is how a job ended.
type Outcome struct {
	Result     debusine.Result
	OutputData debusine.OutputData
}

// Doer does the jobs of a signing worker, several at once.
type Doer struct {
	Vault *vault.Vault
	Log   *slog.Logger
	Dir   string // for files under way; empty: the system's
	// TrustedCerts are the SHA-256, hexadecimal, of the certificates that signed
	// code may trust: code that trusts another is not signed.
	TrustedCerts []string
}

// Do does a job. A fault (no right, an unknown key, an upload that contradicts
// itself) is an Outcome with the result error; an error says that something is
// away and the job may be tried again.
func (d *Doer) Do(ctx context.Context, job Job, server Server) (Outcome, error) {
	result, out, err := d.do(ctx, job, server)
	if head, failed := d.Vault.Head(context.WithoutCancel(ctx)); failed == nil && head.Seq > 0 {
		out.AuditHead = head.String()
	} else if failed != nil && err == nil {
		err = failed
	}
	switch {
	case err == nil:
		return Outcome{Result: result, OutputData: out}, nil
	case ctx.Err() == nil && isFault(err):
		out.Errors = []debusine.TaskError{{Message: err.Error(), Code: "execute-failed"}}
		return Outcome{Result: debusine.Error, OutputData: out}, nil
	}
	return Outcome{}, err
}

func (d *Doer) do(ctx context.Context, job Job, server Server) (result debusine.Result, out debusine.OutputData, err error) {
	definition, err := task.SigningTask(job.Task)
	if err != nil {
		return "", out, err
	}
	data, err := definition.Parse(job.Data)
	if err != nil {
		return "", out, err
	}
	switch data := data.(type) {
	case *task.GenerateKeyData:
		out, err = d.generate(ctx, job, data, server)
	case *task.DebsignData:
		out, err = d.debsign(ctx, job, data, server)
	case *task.SignData:
		return d.sign(ctx, job, data, server)
	default:
		err = debusine.Invalidf("task %s is in no signing worker of this release", job.Task)
	}
	return debusine.Success, out, err
}

func isFault(err error) bool {
	return errors.As(err, new(debusine.Missing)) || errors.As(err, new(debusine.Invalid)) || errors.As(err, new(debusine.Forbidden)) || errors.As(err, new(debusine.Conflict))
}

// generate makes a key and tells the server its public half.
func (d *Doer) generate(ctx context.Context, job Job, data *task.GenerateKeyData, server Server) (out debusine.OutputData, err error) {
	purpose, err := sign.ParsePurpose(data.Purpose)
	if err != nil {
		return out, err
	}
	name := data.Name
	if name == "" {
		name = data.Description
	}
	key, err := d.Vault.Generate(ctx, sign.Wanted{Purpose: purpose, Algorithm: sign.Algorithm(data.Algorithm), Name: name},
		vault.Cause{WorkRequest: job.WorkRequest, Description: data.Description})
	if err != nil {
		return out, err
	}
	asset, err := server.CreateAsset(ctx, api.AssetCreate{Category: debusine.CategorySigningKey, TwoPersons: data.TwoPersons,
		Data: api.SigningKey{Purpose: data.Purpose, Fingerprint: key.Fingerprint, PublicKey: base64.StdEncoding.EncodeToString(key.Public), Description: data.Description}})
	if err != nil {
		return out, fmt.Errorf("telling the server of key %s: %w", key.Fingerprint, err)
	}
	d.Log.Info("made a key", "fingerprint", key.Fingerprint, "purpose", key.Purpose, "work_request", job.WorkRequest)
	out.AssetID = asset.ID
	return out, nil
}

// clockSlack is how far this machine's clock may be from the server's: what is
// signed carries this one, and verifiers refuse signatures from the future.
const clockSlack = 5 * time.Minute

// checkClock compares the clocks.
func checkClock(servers time.Time) error {
	if off := time.Since(servers).Round(time.Second); off > clockSlack || off < -clockSlack {
		return debusine.Conflict{What: fmt.Sprintf("this signing worker's clock is %v from the server's: nothing is signed", off), Hint: "set the clocks (timedatectl)"}
	}
	return nil
}
