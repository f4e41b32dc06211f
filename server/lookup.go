package server

import (
	"encoding/json"
	"fmt"

	"debusine"
	"debusine/api"
	"debusine/lookup"
)

// lookupSingle says what a lookup comes to for a user.
func (s *Server) lookupSingle(c *call) error {
	var in api.LookupSingle
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, in.Workspace)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(in.Lookup)
	if err != nil {
		return fmt.Errorf("reading the lookup: %w", err)
	}
	var l debusine.Lookup
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	result, err := s.db.LookupSingle(c.ctx(), c.user(), w.ID, l, lookup.Expect{DefaultCategory: in.DefaultCategory, Collection: in.ExpectType == "collection"})
	if err != nil {
		return err
	}
	out := showResult(result, w)
	if in.ExpectType != "" && in.ExpectType != "any" && in.ExpectType != "artifact-or-promise" && in.ExpectType != out.ResultType {
		return debusine.Invalidf("lookup %q comes to a result of type %s, not %.80s", l, out.ResultType, in.ExpectType)
	}
	return c.reply(out)
}

func showResult(r lookup.Result, w debusine.Workspace) api.LookupResult {
	in := place("collection/%s/", escape(w.Name))
	out := api.LookupResult{ResultType: "bare", Links: api.Links{"webui_self": in, "webui_parent_collection": in}}
	if r.Item != nil {
		out.CollectionItem = &struct {
			Name string          `json:"name"`
			Data json.RawMessage `json:"data"`
		}{r.Item.Name, r.Item.Data}
	}
	switch {
	case r.Artifact != nil:
		out.ResultType, out.Artifact = "artifact", &r.Artifact.ID
		out.Links["webui_self"] = place("artifact/%d/", r.Artifact.ID)
	case r.Collection != nil:
		out.ResultType, out.Collection = "collection", &r.Collection.ID
		out.Links["webui_self"] = place("collection/%s/%d/", escape(w.Name), r.Collection.ID)
	}
	return out
}
