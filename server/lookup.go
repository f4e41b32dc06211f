package server

import (
	"encoding/json"
	"fmt"

	"debusine"
	"debusine/api"
	"debusine/lookup"
	"debusine/store"
)

// lookupSingle says what a lookup comes to for a user.
func (s *Server) lookupSingle(c *call) error {
	var in api.LookupSingle
	if err := c.bind(&in); err != nil {
		return err
	}
	w, who, err := s.asking(c, in.Workspace, in.WorkRequest)
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
	result, err := s.db.LookupSingle(c.ctx(), who, l, lookup.Expect{DefaultCategory: in.DefaultCategory, Type: in.ExpectType})
	if err != nil {
		return err
	}
	return c.reply(showResult(result, escape(w.Name)))
}

// lookupMultiple says what a lookup of many results comes to for a user.
func (s *Server) lookupMultiple(c *call) error {
	var in api.LookupMultiple
	if err := c.bind(&in); err != nil {
		return err
	}
	w, who, err := s.asking(c, in.Workspace, in.WorkRequest)
	if err != nil {
		return err
	}
	results, err := s.db.LookupMultiple(c.ctx(), who, in.Lookup, lookup.Expect{DefaultCategory: in.DefaultCategory, Type: in.ExpectType})
	if err != nil {
		return err
	}
	out, workspace := make([]api.LookupResult, len(results)), escape(w.Name)
	for i, r := range results {
		out[i] = showResult(r, workspace)
	}
	return c.reply(out)
}

// asking reads for whom, and where, a lookup is made.
func (s *Server) asking(c *call, workspace string, workRequest *int64) (debusine.Workspace, store.Asking, error) {
	w, err := s.workspace(c, workspace)
	who := store.Asking{User: c.user(), Workspace: w.ID}
	if workRequest != nil {
		if who.WorkRequest = *workRequest; who.WorkRequest <= 0 && err == nil {
			err = debusine.Missingf("work request %d", *workRequest)
		}
	}
	return w, who, err
}

// showResult writes a result; workspace is the asker's, as part of an address.
func showResult(r lookup.Result, workspace string) api.LookupResult {
	in := base10 + "collection/" + workspace + "/"
	out := api.LookupResult{ResultType: r.Type(), Links: api.Links{"webui_self": in, "webui_parent_collection": in}}
	if r.Item != nil {
		out.CollectionItem, out.ParentCollection = &api.LookupItem{Name: r.Item.Name, Data: r.Item.Data}, &r.Parent
	}
	switch {
	case r.Artifact != nil:
		out.Artifact = &r.Artifact.ID
		out.Links["webui_self"] = place("artifact/%d/", r.Artifact.ID)
	case r.Collection != nil:
		out.Collection, out.CollectionInfo = &r.Collection.ID, &api.CollectionInfo{Name: r.Collection.Name, Category: r.Collection.Category}
		out.Links["webui_self"] = in + fmt.Sprintf("%d/", r.Collection.ID)
	}
	return out
}
