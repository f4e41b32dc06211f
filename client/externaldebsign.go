package client

import (
	"context"
	"fmt"
	"net/http"

	"debusine/api"
)

// ExternalDebsign gives a work request that waits for the caller's signature; its
// dynamic data name the upload to be signed (unsigned_id).
func (c *Client) ExternalDebsign(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodGet, path: externalDebsignPath(id), into: &w})
}

// ProvideSignature hands in the upload that the caller signed.
func (c *Client) ProvideSignature(ctx context.Context, id, signed int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: externalDebsignPath(id), body: api.ExternalDebsign{SignedArtifact: signed}, into: &w})
}

func externalDebsignPath(id int64) string {
	return fmt.Sprintf("work-request/%d/external-debsign/", id)
}

// ResumeArtifact uploads what the server still lacks of an artifact.
func (c *Client) ResumeArtifact(ctx context.Context, id int64, files map[string]string, progress Progress) (a api.Artifact, err error) {
	if a, err = c.Artifact(ctx, id); err != nil {
		return a, err
	}
	return a, c.uploadAll(ctx, a, files, progress)
}
