package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"debusine"
	"debusine/api"
)

// AssetFilter picks assets; what is empty or 0 is any.
type AssetFilter struct {
	Workspace, Fingerprint string
	ID, WorkRequest        int64 // its own, and that of the work request that made it
}

// Assets lists signing keys and who may use them, of the workspaces that the user
// sees.
func (c *Client) Assets(ctx context.Context, f AssetFilter) (list []api.Asset, err error) {
	q := url.Values{}
	for name, value := range map[string]string{"workspace": f.Workspace, "fingerprint": f.Fingerprint} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, id := range map[string]int64{"asset": f.ID, "work_request": f.WorkRequest} {
		if id != 0 {
			q.Set(name, strconv.FormatInt(id, 10))
		}
	}
	return list, c.do(ctx, call{method: http.MethodGet, path: "asset/", query: q, into: &list})
}

// CreateAsset tells the server of a key that was not made through it. Nobody may
// sign with it until an administrator grants that.
func (c *Client) CreateAsset(ctx context.Context, in api.AssetCreate) (made api.Asset, err error) {
	return made, c.do(ctx, call{method: http.MethodPost, path: "asset/", body: in, into: &made})
}

// ApproveSignature agrees, as the second person, that a work request signs with a
// key.
func (c *Client) ApproveSignature(ctx context.Context, fingerprint string, workRequest int64) error {
	return c.do(ctx, call{method: http.MethodPost, path: keyPath(fingerprint, "approve/"), body: api.Approve{WorkRequest: workRequest}})
}

// AssetGroups lists which groups own or see a key.
func (c *Client) AssetGroups(ctx context.Context, fingerprint string) (out []api.AssetGroup, err error) {
	return out, c.do(ctx, call{method: http.MethodGet, path: keyPath(fingerprint, "role/"), into: &out})
}

// SetAssetGroup gives a group a role on a key, or takes it away.
func (c *Client) SetAssetGroup(ctx context.Context, fingerprint string, g api.AssetGroup, has bool) error {
	if has {
		return c.do(ctx, call{method: http.MethodPost, path: keyPath(fingerprint, "role/"), body: g})
	}
	return c.do(ctx, call{method: http.MethodDelete, path: keyPath(fingerprint, "role/"+url.PathEscape(g.Role)+"/"+url.PathEscape(g.Group)+"/")})
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
	body := api.SignWith{Artifact: artifact, WorkRequest: a.workRequest, File: file}
	return p, a.c.do(ctx, call{method: http.MethodPost, path: keyPath(fingerprint, "sign_with/"), body: body, into: &p})
}

// Heard is a heartbeat of a signing worker's attempt; it says whether the work
// request was aborted. A void attempt is a fault.
func (a *Attempt) Heard(ctx context.Context) (aborted bool, err error) {
	var out api.Heard
	err = a.c.do(ctx, call{method: http.MethodPost, path: workRequestPath(a.workRequest, "heard/"), into: &out})
	return out.Aborted, err
}
