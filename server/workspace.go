package server

import (
	"fmt"

	"debusine"
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

func resourceOf(w debusine.Workspace) debusine.Resource {
	return debusine.Resource{What: fmt.Sprintf("workspace %s/%s", w.Scope, w.Name), Scope: w.ScopeID, Workspace: w.ID, Public: w.Public}
}
