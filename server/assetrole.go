package server

import (
	"net/http"

	"debusine"
	"debusine/api"
)

// listAssetGroups tells who sees a key which groups own and see it.
func (s *Server) listAssetGroups(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	fingerprint, err := keyOf(c)
	if err != nil {
		return err
	}
	groups, err := s.db.AssetGroups(c.ctx(), c.who.UserID, fingerprint)
	if err != nil {
		return err
	}
	out := []api.AssetGroup{}
	for _, g := range groups {
		out = append(out, api.AssetGroup(g))
	}
	return c.reply(out)
}

// addAssetGroup gives a group a role on a key.
func (s *Server) addAssetGroup(c *call) error {
	var in api.AssetGroup
	if err := c.bind(&in); err != nil {
		return err
	}
	return s.setAssetGroup(c, debusine.AssetGroup(in), true)
}

// removeAssetGroup takes one away.
func (s *Server) removeAssetGroup(c *call) error {
	return s.setAssetGroup(c, debusine.AssetGroup{Group: c.Param("group"), Role: c.Param("role")}, false)
}

func (s *Server) setAssetGroup(c *call, g debusine.AssetGroup, has bool) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	fingerprint, err := keyOf(c)
	if err != nil {
		return err
	}
	if err := s.db.SetAssetGroup(c.ctx(), c.who.UserID, fingerprint, g, has); err != nil {
		return err
	}
	s.log.Info("changed: a role on a key", "fingerprint", fingerprint, "group", g.Group, "role", g.Role, "has", has, "user", c.who.User)
	return c.NoContent(http.StatusNoContent)
}
