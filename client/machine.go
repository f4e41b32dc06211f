package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"

	"debusine/api"
)

// RegisterWorker makes a build machine known. Whether it may work is for an
// administrator to say.
func (c *Client) RegisterWorker(ctx context.Context, r api.WorkerRegister) (w api.WorkerRegistered, err error) {
	// The token is in the body: registering twice is registering once.
	return w, c.do(ctx, call{method: http.MethodPost, path: "worker/register/", body: r, into: &w})
}

// PutDynamicMetadata reports what a machine can do, and gives what it may do.
func (c *Client) PutDynamicMetadata(ctx context.Context, m api.WorkerMetadata) (h api.WorkerHello, err error) {
	return h, c.do(ctx, call{method: http.MethodPut, path: "worker/dynamic-metadata/", body: m, into: &h})
}

// Begin asks whether a task that the gateway gave out is to be run, with the
// worker's own token.
func (c *Client) Begin(ctx context.Context, workRequest int64, taskToken []byte) (b api.BeginAnswer, err error) {
	return b, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(workRequest, "begin/"), body: api.Begin{TaskToken: taskToken}, into: &b})
}

// BeginSigning asks the same for a signing worker, which has its task from
// Temporal itself: delivery is Temporal's count of attempts.
func (c *Client) BeginSigning(ctx context.Context, workRequest int64, taskToken []byte, delivery int32) (b api.BeginAnswer, err error) {
	return b, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(workRequest, "begin/"), body: api.Begin{TaskToken: taskToken, Delivery: delivery}, into: &b})
}

// Attempt is the server as one attempt at a work request sees it: its token
// opens the attempt's own inputs, takes its outputs, and dies with it.
type Attempt struct {
	c           *Client
	workRequest int64
	artifacts   sync.Map // id → api.Artifact; they never change
}

// Attempt gives the server for the attempt that Begin gave a token for.
func (c *Client) Attempt(workRequest int64, token string) *Attempt {
	return &Attempt{c: c.WithToken(token), workRequest: workRequest}
}

// Artifact gives an artifact with its data and files.
func (a *Attempt) Artifact(ctx context.Context, id int64) (api.Artifact, error) {
	if known, found := a.artifacts.Load(id); found {
		return known.(api.Artifact), nil
	}
	artifact, err := a.c.Artifact(ctx, id)
	if err == nil {
		a.artifacts.Store(id, artifact)
	}
	return artifact, err
}

// Download writes one file of an artifact and verifies its SHA-256.
func (a *Attempt) Download(ctx context.Context, artifact int64, path string, to *os.File) error {
	of, err := a.Artifact(ctx, artifact)
	if err != nil {
		return err
	}
	return a.c.Download(ctx, of, path, to, nil)
}

// CreateArtifact makes an artifact of local files (path in the artifact to path
// on disk) in the work request's workspace and uploads them. It is tried again
// also where the server may have made one already: that one is never complete
// and goes away by itself.
func (a *Attempt) CreateArtifact(ctx context.Context, category string, data any, files map[string]string) (int64, error) {
	artifact, err := a.c.createArtifact(ctx, NewArtifact{Category: category, Data: data, WorkRequest: a.workRequest, Files: files}, nil, false)
	return artifact.ID, err
}

// CreateFrom does the same where some files are those of an input, unchanged:
// they are named, and not sent.
func (a *Attempt) CreateFrom(ctx context.Context, category string, data any, files map[string]string, same map[string]api.File) (int64, error) {
	artifact, err := a.c.createArtifact(ctx, NewArtifact{Category: category, Data: data, WorkRequest: a.workRequest, Files: files, Same: same}, nil, false)
	return artifact.ID, err
}

// Relate joins two artifacts: extends, relates-to, built-using.
func (a *Attempt) Relate(ctx context.Context, artifact, target int64, kind string) error {
	return a.c.Relate(ctx, artifact, target, kind)
}

// AppendLog adds to the live log at an offset in bytes. It is tried once: who
// streams a log knows when to try again.
func (a *Attempt) AppendLog(ctx context.Context, offset int64, chunk []byte) error {
	c := a.c
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.request(ctx, http.MethodPost, c.address(workRequestPath(a.workRequest, "log/"), url.Values{"offset": {number(offset)}}))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(chunk)), int64(len(chunk))
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("appending to the log: %w", fault(answer))
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxProblem))
	return err
}

// Complete tells how the attempt ended. Telling it twice is telling it once.
func (a *Attempt) Complete(ctx context.Context, result string, output json.RawMessage) error {
	return a.c.do(ctx, call{method: http.MethodPut, path: workRequestPath(a.workRequest, "completed/"), body: api.Complete{Result: result, OutputData: output}})
}
