// Package worker joins a build machine to a Debusine server.
//
// A machine knows two things: the address of the API and its own token. It
// registers, waits until an administrator has enabled it, reports what it can
// do, and is told where the gateway is. From there it takes tasks as any
// Temporal activity worker does, from one queue of its own name; which work
// that queue holds is the gateway's business.
//
// For each task it asks "may I begin?", does the work (activities/worker), says
// how it ended, and only then answers Temporal. What ends a job early is told
// apart: an abort (the heartbeat's answer), a stop of this process (the attempt
// is given back, which counts as no loss), a drain (the work in hand is
// finished first).
package worker

import (
	"context"
	"encoding/json"

	"debusine/activities/worker"
	"debusine/api"
)

// Home is what the worker needs of the server; package client has it.
type Home interface {
	Register(ctx context.Context, r api.WorkerRegister) (api.WorkerRegistered, error)
	Hello(ctx context.Context, metadata api.WorkerMetadata) (api.WorkerHello, error)
	Begin(ctx context.Context, workRequest int64, taskToken []byte) (api.BeginAnswer, error)
	Attempt(workRequest int64, token string) Attempt
}

// Attempt is the server as one attempt at a work request sees it.
type Attempt interface {
	workeract.Server
	Complete(ctx context.Context, result string, output json.RawMessage) error
}
