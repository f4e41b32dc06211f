package server

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"debusine"
	"debusine/api"
	"debusine/store"
)

const (
	mostFiles   = 10_000 // of an artifact
	largestFile = 1 << 50
)

func (s *Server) createArtifact(c *call) error {
	var in api.ArtifactCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, on, err := s.findWorkspace(c, in.Workspace)
	if err != nil {
		return err
	}
	n := store.NewArtifact{WorkspaceID: w.ID, Category: in.Category, Data: in.Data, ExpireAt: in.ExpireAt, CreatedBy: c.who.UserID}
	if err := s.maker(c, in, &n, &on); err != nil {
		return err
	}
	if in.ExpireAt != nil && in.ExpireAt.Before(time.Now()) {
		return debusine.Invalid{What: "expire_at lies in the past", Per: map[string]string{"expire_at": "in the past"}}
	}
	if n.Files, err = announced(in); err != nil {
		return err
	}
	id, err := s.db.CreateArtifact(c.ctx(), n)
	if err != nil {
		return err
	}
	return s.replyArtifact(c, id)
}

// maker settles for whom the artifact is made, and asks for the right to it.
func (s *Server) maker(c *call, in api.ArtifactCreate, n *store.NewArtifact, on *debusine.Resource) error {
	if c.who.Kind == debusine.Attempt {
		n.WorkRequest, n.Attempt, n.Inputs = c.who.WorkRequest, c.who.AttemptID, c.who.Inputs
		on.WorkRequest = c.who.WorkRequest
		if in.WorkRequest != nil {
			on.WorkRequest = *in.WorkRequest
		}
		if err := c.allow(*on); err != nil {
			return err
		}
		if c.who.Aborted && in.Category != debusine.CategoryPackageBuildLog && in.Category != debusine.CategoryDebugLogs {
			return debusine.Conflictf("work request %d was aborted: only its log is kept", c.who.WorkRequest)
		}
		return nil
	}
	if err := c.allow(*on); err != nil {
		return err
	}
	if in.WorkRequest != nil {
		return debusine.Invalid{What: "only a worker makes artifacts for a work request", Per: map[string]string{"work_request": "not allowed"}}
	}
	return nil
}

// announced checks what the artifact will be: files, and data that fit them.
func announced(in api.ArtifactCreate) (list []debusine.ArtifactFile, err error) {
	if len(in.Files) > mostFiles {
		return nil, debusine.Invalid{What: fmt.Sprintf("the artifact has %d files, %d are allowed", len(in.Files), mostFiles), Per: map[string]string{"files": "too many"}}
	}
	paths := slices.Sorted(maps.Keys(in.Files))
	data, err := debusine.ParseArtifactData(in.Category, in.Data, paths)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		f := in.Files[path]
		sum := f.Checksums["sha256"]
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 || hex.EncodeToString(raw) != sum {
			return nil, debusine.Invalid{What: fmt.Sprintf("file %.80q needs checksums.sha256, 64 hexadecimal digits in lower case", path), Per: map[string]string{"files": "sha256"}}
		}
		switch {
		case f.Type != "file" && f.Type != "":
			return nil, debusine.Invalidf("file %.80q has type %.40q, only file is allowed", path, f.Type)
		case f.Size < 0 || f.Size > largestFile:
			return nil, debusine.Invalidf("file %.80q has the size %d", path, f.Size)
		case f.Size == 0 && sum != emptySum:
			return nil, debusine.Invalidf("file %.80q is empty, but its SHA-256 is not that of nothing", path)
		case len(f.ContentType) > 200 || !cleanText(f.ContentType):
			return nil, debusine.Invalidf("file %.80q has no proper content_type", path)
		}
		list = append(list, debusine.ArtifactFile{Path: path, Size: f.Size, SHA256: sum, ContentType: f.ContentType})
	}
	return list, debusine.CheckListed(data, list)
}

// emptySum is the SHA-256 of no bytes.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func (s *Server) replyArtifact(c *call, id int64) error {
	a, _, err := s.db.Artifact(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.reply(s.showArtifactOf(c, a))
}

func (s *Server) showArtifact(c *call) error {
	id, err := c.number("id", "artifact")
	if err != nil {
		return err
	}
	a, on, err := s.db.Artifact(c.ctx(), id)
	if err != nil {
		return err
	}
	if err := c.allow(on); err != nil {
		return err
	}
	if name := c.Param("workspace"); name != "" && name != a.Workspace {
		return debusine.Missingf("artifact %d of workspace %.80q", id, name)
	}
	if archive := c.QueryParam("archive"); archive != "" {
		if archive != "tar.gz" {
			return debusine.Invalid{What: fmt.Sprintf("archive must be tar.gz, not %.40q", archive), Per: map[string]string{"archive": "unknown"}}
		}
		return s.sendTar(c, a)
	}
	return c.reply(s.showArtifactOf(c, a))
}

func (s *Server) listArtifacts(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	p, err := c.paging()
	if err != nil {
		return err
	}
	f := store.ArtifactFilter{Scope: c.Request().Header.Get("X-Debusine-Scope"), Workspace: c.QueryParam("workspace"), Category: c.QueryParam("category"), Before: p.before}
	if f.WorkRequest, err = c.query("work_request"); err != nil {
		return err
	}
	list, err := s.db.Artifacts(c.ctx(), c.user(), f, p.size+1)
	if err == nil && len(list) == 0 {
		err = s.checkScope(c)
	}
	if err != nil {
		return err
	}
	return c.reply(page(c, s, p, list, func(a debusine.Artifact) int64 { return a.ID }, func(a debusine.Artifact) api.Artifact { return s.showArtifactOf(c, a) }))
}

// showArtifactOf is an artifact with the addresses of its files.
func (s *Server) showArtifactOf(c *call, a debusine.Artifact) api.Artifact {
	self := s.link(c, "artifact/%d/", a.ID)
	out := api.Artifact{ID: a.ID, URL: place("artifact/%d/", a.ID), Scope: a.Scope, Workspace: a.Workspace, Category: a.Category, CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy,
		CreatedByWorkRequest: a.CreatedByWorkRequest, Data: a.Data, DownloadTarGzURL: self + "?archive=tar.gz", Complete: a.Complete,
		FilesToUpload: []string{}, ExpireAt: a.ExpireAt, Files: map[string]api.File{}, Links: webSelf("artifact/%d/", a.ID)}
	for _, f := range a.Files {
		out.Files[f.Path] = api.File{Type: "file", Size: f.Size, Checksums: map[string]string{"sha256": f.SHA256}, ContentType: f.ContentType,
			URL: self + "files/" + escape(f.Path)}
		if !f.Complete {
			out.FilesToUpload = append(out.FilesToUpload, f.Path)
		}
	}
	return out
}

func (s *Server) createRelation(c *call) error {
	var in api.Relation
	if err := c.bind(&in); err != nil {
		return err
	}
	switch in.Type {
	case "extends", "relates-to", "built-using":
	default:
		return debusine.Invalid{What: fmt.Sprintf("relation type %.40q is unknown", in.Type), Hint: "extends, relates-to or built-using", Per: map[string]string{"type": "unknown"}}
	}
	_, on, err := s.db.ArtifactHead(c.ctx(), in.Artifact)
	if err == nil {
		err = c.allow(on)
	}
	if err != nil {
		return err
	}
	_, target, err := s.db.ArtifactHead(c.ctx(), in.Target)
	if err == nil {
		err = c.allowVerb(debusine.ReadArtifact, target)
	}
	if err != nil {
		return err
	}
	id, made, err := s.db.PutRelation(c.ctx(), debusine.Relation{Artifact: in.Artifact, Target: in.Target, Type: in.Type})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return c.replyWith(status, api.Relation{ID: id, Artifact: in.Artifact, Target: in.Target, Type: in.Type})
}

func (s *Server) listRelations(c *call) error {
	from, err := c.query("artifact")
	if err != nil {
		return err
	}
	to, err := c.query("target_artifact")
	if err != nil {
		return err
	}
	if (from == 0) == (to == 0) {
		return debusine.Invalidf("give either artifact or target_artifact, a number")
	}
	_, on, err := s.db.ArtifactHead(c.ctx(), from+to)
	if err == nil {
		err = c.allow(on)
	}
	if err != nil {
		return err
	}
	relations, err := s.db.Relations(c.ctx(), c.user(), from, to)
	if err != nil {
		return err
	}
	out := []api.Relation{}
	for _, r := range relations {
		out = append(out, api.Relation{ID: r.ID, Artifact: r.Artifact, Target: r.Target, Type: r.Type})
	}
	return c.reply(out)
}

func (s *Server) deleteRelation(c *call) error {
	id, err := c.number("id", "relation")
	if err != nil {
		return err
	}
	r, err := s.db.Relation(c.ctx(), id)
	if err != nil {
		return err
	}
	_, on, err := s.db.ArtifactHead(c.ctx(), r.Artifact)
	on.What = fmt.Sprintf("relation %d", id)
	if err == nil {
		err = c.allow(on)
	}
	if err != nil {
		return err
	}
	if err := s.db.DeleteRelation(c.ctx(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
