package server

import (
	"encoding/base64"
	"net/http"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/sign"
	"debusine/store"
)

func (s *Server) listAssets(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	f := store.AssetFilter{Scope: c.Request().Header.Get("X-Debusine-Scope"), Workspace: c.QueryParam("workspace"), Fingerprint: c.QueryParam("fingerprint")}
	var err error
	if f.ID, err = c.query("asset"); err == nil {
		f.WorkRequest, err = c.query("work_request")
	}
	if err != nil {
		return err
	}
	if c.who.Kind != debusine.Person {
		return debusine.Forbidden{What: "only a user may list assets", Hint: "send a user's token"}
	}
	assets, err := s.db.Assets(c.ctx(), c.user(), f)
	if err == nil && len(assets) == 0 {
		err = s.checkScope(c)
	}
	if err != nil {
		return err
	}
	out := []api.Asset{} // no pages: as Debusine answers
	for _, a := range assets {
		out = append(out, showAsset(a))
	}
	return c.reply(out)
}

func showAsset(a debusine.Asset) api.Asset {
	grants := []api.AssetRole{}
	for _, g := range a.Grants {
		grants = append(grants, api.AssetRole(g))
	}
	var madeBy *int64
	if a.WorkRequest != 0 {
		madeBy = &a.WorkRequest
	}
	return api.Asset{ID: a.ID, Category: a.Category, Scope: a.Scope, Workspace: a.Workspace, Data: api.SigningKey(a.Data), TwoPersons: a.TwoPersons,
		CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy, CreatedByWorkRequest: madeBy, Grants: grants}
}

// ofAttempt is the work request of the attempt that calls, and asks for the
// route's right to it.
func (s *Server) ofAttempt(c *call) (debusine.WorkRequest, error) {
	if err := c.allow(debusine.Resource{WorkRequest: c.who.WorkRequest}); err != nil {
		return debusine.WorkRequest{}, err
	}
	w, _, err := s.db.WorkRequest(c.ctx(), c.who.WorkRequest)
	if err == nil && w.TaskType != debusine.SigningTask {
		return w, debusine.Forbiddenf("only a signing worker may do this")
	}
	return w, err
}

// createAsset takes the public half of a key: one that a signing worker made, or
// one that an owner of the workspace brings. Nobody may sign with it until an
// administrator grants that.
func (s *Server) createAsset(c *call) error {
	var in api.AssetCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	if in.Category != debusine.CategorySigningKey {
		return debusine.Invalidf("category must be %s, not %.80q", debusine.CategorySigningKey, in.Category)
	}
	a := debusine.Asset{Data: debusine.SigningKeyData(in.Data), TwoPersons: in.TwoPersons}
	place := s.ofWorkspace
	if c.who.Kind == debusine.Attempt {
		place = s.ofGeneratedKey
	}
	if err := place(c, in, &a); err != nil {
		return err
	}
	if err := matches(a.Data); err != nil {
		return err
	}
	a, err := s.db.PutAsset(c.ctx(), a)
	if err != nil {
		return err
	}
	s.log.Info("signing key", "fingerprint", a.Data.Fingerprint, "purpose", a.Data.Purpose, "workspace", a.Workspace, "work_request", a.WorkRequest, "user", c.who.User)
	return c.reply(showAsset(a))
}

// ofGeneratedKey places the key that an attempt at generatekey made.
func (s *Server) ofGeneratedKey(c *call, in api.AssetCreate, a *debusine.Asset) error {
	w, err := s.ofAttempt(c)
	if err != nil {
		return err
	}
	if w.TaskName != "generatekey" || in.WorkRequest != 0 && in.WorkRequest != w.ID {
		return debusine.Forbiddenf("task %s (work request %d) made no such key", w.TaskName, w.ID)
	}
	a.WorkspaceID, a.WorkRequest = w.WorkspaceID, w.ID
	return nil
}

// ofWorkspace places the key that a person brings.
func (s *Server) ofWorkspace(c *call, in api.AssetCreate, a *debusine.Asset) error {
	w, err := s.workspace(c, in.Workspace)
	if err != nil {
		return err
	}
	if in.WorkRequest != 0 {
		return debusine.Forbiddenf("only the work request itself may say that it made a key")
	}
	a.WorkspaceID, a.CreatedBy = w.ID, c.who.User
	return nil
}

// matches makes sure that the fingerprint is the certificate's own: who has the
// asset of a fingerprint must have that key.
func matches(d debusine.SigningKeyData) error {
	if err := d.Check(); err != nil {
		return err
	}
	purpose, err := sign.ParsePurpose(d.Purpose)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(d.PublicKey)
	if err != nil {
		return debusine.Invalidf("public_key must be base64")
	}
	fingerprint, _, err := sign.Public(purpose, raw)
	if err == nil && !strings.EqualFold(fingerprint, d.Fingerprint) {
		err = debusine.Invalidf("the public key's fingerprint is %s, not %.80s", fingerprint, d.Fingerprint)
	}
	return err
}

// signWith judges one signature.
func (s *Server) signWith(c *call) error {
	var in api.SignWith
	if err := c.bind(&in); err != nil {
		return err
	}
	if _, err := s.ofAttempt(c); err != nil {
		return err
	}
	if in.WorkRequest != 0 && in.WorkRequest != c.who.WorkRequest {
		return debusine.Forbiddenf("this attempt is at work request %d, not %d", c.who.WorkRequest, in.WorkRequest)
	}
	fingerprint, err := keyOf(c)
	if err != nil {
		return err
	}
	var paths []string
	if in.File != "" {
		paths = []string{in.File}
	}
	p, err := s.db.SignWith(c.ctx(), c.who.AttemptID, c.who.WorkRequest, fingerprint, in.Artifact, paths...)
	if err != nil {
		s.log.Warn("refused: a signature", "id", c.who.WorkRequest, "key", fingerprint, "artifact", in.Artifact, "file", in.File, "error", err)
		return err
	}
	s.log.Info("permitted: a signature", "id", c.who.WorkRequest, "key", fingerprint, "artifact", in.Artifact, "file", in.File, "user", p.User, "approved_by", p.Approvals)
	return c.reply(showPermit(p, c.who.WorkRequest))
}

func showPermit(p store.Permit, workRequest int64) api.SigningPermit {
	return api.SigningPermit{HasPermission: true, User: p.User, UserID: p.UserID,
		Resource: api.SignedResource{Artifact: p.Artifact, WorkRequest: workRequest, Workspace: p.Workspace}, Asset: showAsset(p.Asset), Artifact: p.Artifact, MadeBy: p.MadeBy, Files: p.Files, Approvals: p.Approvals, Now: p.Now}
}

// keyOf is the fingerprint in the path, which may follow the purpose: a slug of
// Debusine's is openpgp:FINGERPRINT.
func keyOf(c *call) (string, error) {
	if category := c.Param("category"); category != debusine.CategorySigningKey {
		return "", debusine.Missingf("assets of category %.80q", category)
	}
	slug := c.Param("slug")
	return slug[strings.LastIndexByte(slug, ':')+1:], nil
}

// approveSignature is the second person's word.
func (s *Server) approveSignature(c *call) error {
	var in api.Approve
	if err := c.bind(&in); err != nil {
		return err
	}
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	fingerprint, err := keyOf(c)
	if err != nil {
		return err
	}
	// Who may not see the work request must not learn that it is there.
	_, on, err := s.db.WorkRequest(c.ctx(), in.WorkRequest)
	if err == nil {
		err = c.allowVerb(debusine.ReadWorkRequest, on)
	}
	if err != nil {
		return err
	}
	if err := s.db.ApproveSigning(c.ctx(), c.who.UserID, fingerprint, in.WorkRequest); err != nil {
		return err
	}
	s.log.Info("approved: a signature", "id", in.WorkRequest, "key", fingerprint, "user", c.who.User)
	return c.NoContent(http.StatusNoContent)
}

// heard takes the heartbeat of an attempt of a signing worker, which is in no
// gateway's care.
func (s *Server) heard(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	aborted, err := s.db.HeardAttempt(c.ctx(), c.who.AttemptID)
	if err != nil {
		return err
	}
	return c.reply(api.Heard{Aborted: aborted || w.Status == debusine.Aborted})
}
