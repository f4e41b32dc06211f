package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"debusine"
	"debusine/api"
)

// Assets lists signing keys and who may use them, of the workspaces that the user
// sees; workspace "" is any.
func (c *Client) Assets(ctx context.Context, workspace string) iter.Seq2[api.Asset, error] {
	q := url.Values{}
	if workspace != "" {
		q.Set("workspace", workspace)
	}
	return pages[api.Asset](ctx, c, "asset/", q)
}

// ApproveSignature agrees, as the second person, that a work request signs with a
// key.
func (c *Client) ApproveSignature(ctx context.Context, fingerprint string, workRequest int64) error {
	return c.do(ctx, call{method: http.MethodPost, path: keyPath(fingerprint, "approve/"), body: api.Approve{WorkRequest: workRequest}})
}

func keyPath(fingerprint, rest string) string {
	return "asset/" + url.PathEscape(debusine.CategorySigningKey) + "/" + url.PathEscape(fingerprint) + "/" + rest
}

// CreateAsset makes the asset of the key that the attempt made. Doing it twice is
// doing it once.
func (a *Attempt) CreateAsset(ctx context.Context, in api.AssetCreate) (out api.Asset, err error) {
	return out, a.c.do(ctx, call{method: http.MethodPost, path: "asset/", body: in, into: &out})
}

// SignWith asks whether one file of an artifact, or with "" all, may be signed
// with a key, now.
func (a *Attempt) SignWith(ctx context.Context, fingerprint string, artifact int64, file string) (p api.SigningPermit, err error) {
	return p, a.c.do(ctx, call{method: http.MethodPost, path: keyPath(fingerprint, "sign_with/"), body: api.SignWith{Artifact: artifact, File: file}, into: &p})
}

// Heard is a heartbeat of a signing worker's attempt; it says whether the work
// request was aborted. A void attempt is a fault.
func (a *Attempt) Heard(ctx context.Context) (aborted bool, err error) {
	var out api.Heard
	err = a.c.do(ctx, call{method: http.MethodPost, path: workRequestPath(a.workRequest, "heard/"), into: &out})
	return out.Aborted, err
}
