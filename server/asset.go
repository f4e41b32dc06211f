package server

import (
	"net/http"

	"debusine"
	"debusine/api"
	"debusine/store"
)

func (s *Server) listAssets(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	user := c.user()
	if c.who.Kind != debusine.Person {
		return debusine.Forbidden{What: "only a user may list assets", Hint: "send a user's token"}
	}
	assets, err := s.db.Assets(c.ctx(), user, c.Request().Header.Get("X-Debusine-Scope"), c.QueryParam("workspace"))
	if err != nil {
		return err
	}
	out := api.Page[api.Asset]{Results: []api.Asset{}}
	for _, a := range assets {
		out.Results = append(out.Results, showAsset(a))
	}
	return c.reply(out)
}

func showAsset(a debusine.Asset) api.Asset {
	grants := []api.AssetRole{}
	for _, g := range a.Grants {
		grants = append(grants, api.AssetRole(g))
	}
	return api.Asset{ID: a.ID, Category: a.Category, Scope: a.Scope, Workspace: a.Workspace, Data: api.SigningKey(a.Data), TwoPersons: a.TwoPersons,
		CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy, CreatedByWorkRequest: a.WorkRequest, Grants: grants}
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

// createAsset takes the public half of a key that a signing worker made.
func (s *Server) createAsset(c *call) error {
	var in api.AssetCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.ofAttempt(c)
	if err != nil {
		return err
	}
	if w.TaskName != "generatekey" {
		return debusine.Forbiddenf("task %s makes no keys", w.TaskName)
	}
	if in.Category != debusine.CategorySigningKey {
		return debusine.Invalidf("category must be %s, not %.80q", debusine.CategorySigningKey, in.Category)
	}
	a, err := s.db.PutAsset(c.ctx(), debusine.Asset{WorkspaceID: w.WorkspaceID, Data: debusine.SigningKeyData(in.Data), TwoPersons: in.TwoPersons, WorkRequest: w.ID})
	if err != nil {
		return err
	}
	s.log.Info("signing key", "fingerprint", a.Data.Fingerprint, "purpose", a.Data.Purpose, "workspace", a.Workspace, "work_request", w.ID)
	return c.reply(showAsset(a))
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
	return c.reply(showPermit(p))
}

func showPermit(p store.Permit) api.SigningPermit {
	return api.SigningPermit{Asset: showAsset(p.Asset), User: p.User, Artifact: p.Artifact, MadeBy: p.MadeBy, Files: p.Files, Approvals: p.Approvals, Now: p.Now}
}

// keyOf is the fingerprint in the path.
func keyOf(c *call) (string, error) {
	if category := c.Param("category"); category != debusine.CategorySigningKey {
		return "", debusine.Missingf("assets of category %.80q", category)
	}
	return c.Param("slug"), nil
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
