package worker

import (
	"context"

	"debusine/api"
	"debusine/client"
)

// home is the server through package client.
type home struct{ c *client.Client }

func registration(secret, name string, concurrency int) api.WorkerRegister {
	return api.WorkerRegister{Token: secret, FQDN: name, WorkerType: "external", Concurrency: concurrency}
}

func (h home) Register(ctx context.Context, r api.WorkerRegister) (api.WorkerRegistered, error) {
	return h.c.RegisterWorker(ctx, r)
}

func (h home) Hello(ctx context.Context, m api.WorkerMetadata) (api.WorkerHello, error) {
	return h.c.PutDynamicMetadata(ctx, m)
}

func (h home) Begin(ctx context.Context, id int64, taskToken []byte) (api.BeginAnswer, error) {
	return h.c.Begin(ctx, id, taskToken)
}

func (h home) Attempt(id int64, token string) Attempt { return h.c.Attempt(id, token) }
