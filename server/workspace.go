package server

import (
	"slices"

	"debusine"
	"debusine/api"
)

// defaultWorkspace is meant where a request names none.
const defaultWorkspace = "System"

// workspace finds the workspace that a request names, and asks for the route's
// right to it. An attempt knows its own workspace alone.
func (s *Server) workspace(c *call, name string) (debusine.Workspace, error) {
	w, on, err := s.findWorkspace(c, name)
	if err != nil {
		return w, err
	}
	return w, c.allow(on)
}

func (s *Server) findWorkspace(c *call, name string) (w debusine.Workspace, on debusine.Resource, err error) {
	if c.who.Kind == debusine.Attempt {
		w, err = s.db.WorkspaceByID(c.ctx(), c.who.Workspace)
		if err == nil && name != "" && name != w.Name {
			err = debusine.Missingf("workspace %.80q", name)
		}
	} else {
		if name == "" {
			name = defaultWorkspace
		}
		w, err = s.db.Workspace(c.ctx(), c.scope(), name)
	}
	return w, resourceOf(w), err
}

func resourceOf(w debusine.Workspace) debusine.Resource { return w.Resource() }

// mostParents bounds what a workspace may inherit from directly.
const mostParents = 50

func (s *Server) showInheritance(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	return s.replyInheritance(c, w)
}

func (s *Server) replyInheritance(c *call, w debusine.Workspace) error {
	parents, err := s.db.Inheritance(c.ctx(), c.user(), w.ID)
	if err != nil {
		return err
	}
	out := api.Inheritance{Chain: []api.Heir{}}
	for _, p := range parents {
		out.Chain = append(out.Chain, api.Heir{ID: &p.ID, Scope: &p.Scope, Workspace: &p.Name})
	}
	return c.reply(out)
}

// setInheritance replaces the whole chain. The editor must see each workspace.
func (s *Server) setInheritance(c *call) error {
	var in api.Inheritance
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	if len(in.Chain) > mostParents {
		return debusine.Invalidf("a workspace inherits from at most %d others", mostParents)
	}
	ids := []int64{}
	for _, heir := range in.Chain {
		p, err := s.heir(c, heir)
		if err != nil {
			return err
		}
		if p.ID == w.ID || slices.Contains(ids, p.ID) {
			return debusine.Invalidf("workspace %s/%s is in the chain twice, or is the heir itself", p.Scope, p.Name)
		}
		ids = append(ids, p.ID)
	}
	if err := s.db.SetInheritance(c.ctx(), w.ID, ids); err != nil {
		return err
	}
	return s.replyInheritance(c, w)
}

// heir finds a workspace of a chain that the caller can see.
func (s *Server) heir(c *call, h api.Heir) (w debusine.Workspace, err error) {
	switch {
	case h.ID != nil:
		w, err = s.db.WorkspaceByID(c.ctx(), *h.ID)
	case h.Workspace == nil:
		return w, debusine.Invalidf("each element of a chain needs an id or a workspace")
	case h.Scope != nil:
		w, err = s.db.Workspace(c.ctx(), *h.Scope, *h.Workspace)
	default:
		w, err = s.db.Workspace(c.ctx(), c.scope(), *h.Workspace)
	}
	if err == nil {
		err = c.allowVerb(debusine.ReadWorkspace, resourceOf(w))
	}
	return w, err
}
