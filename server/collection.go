package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"debusine"
	"debusine/api"
	"debusine/store"
)

func (s *Server) listCollections(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	list, err := s.db.Collections(c.ctx(), w.ID)
	if err != nil {
		return err
	}
	out := api.Page[api.Collection]{Results: []api.Collection{}}
	for _, one := range list {
		out.Results = append(out.Results, showCollectionOf(one))
	}
	return c.reply(out)
}

func (s *Server) createCollection(c *call) error {
	var in api.Collection
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	if err := checkData(in.Category, in.Data); err != nil {
		return err
	}
	n := debusine.Collection{WorkspaceID: w.ID, Category: in.Category, Name: in.Name, Data: in.Data, FullHistoryDays: in.FullHistory, MetadataOnlyDays: in.MetadataOnly}
	if err := errors.Join(days("full_history_retention_period", in.FullHistory), days("metadata_only_retention_period", in.MetadataOnly)); err != nil {
		return err
	}
	if err := s.db.CreateCollection(c.ctx(), n); err != nil {
		return err
	}
	made, err := s.db.Collection(c.ctx(), w.ID, in.Category, in.Name)
	if err != nil {
		return err
	}
	return c.reply(showCollectionOf(made))
}

// mostKept is how many runs of a series a task history may be told to keep.
const mostKept = 1000

// checkData lets a task history have its old_items_to_keep; others have no data.
func checkData(category string, raw json.RawMessage) error {
	var data map[string]json.RawMessage
	if category == debusine.CategoryTaskHistory && len(raw) > 0 {
		var n *int
		if json.Unmarshal(raw, &data) == nil && json.Unmarshal(data["old_items_to_keep"], &n) == nil && len(data) == 1 && n != nil && *n >= 0 && *n <= mostKept {
			return nil
		}
		if len(data) == 0 && string(raw) == "{}" {
			return nil
		}
		return debusine.Invalid{What: fmt.Sprintf("the data of a task history are old_items_to_keep, a number from 0 to %d", mostKept), Per: map[string]string{"data": "not acceptable"}}
	}
	if len(raw) > 0 && (json.Unmarshal(raw, &data) != nil || len(data) > 0) {
		return debusine.Invalid{What: "collections of this category take no data", Per: map[string]string{"data": "must be {}"}}
	}
	return nil
}

const mostDays = 36_500

func days(field string, n *int) error {
	if n != nil && (*n < 0 || *n > mostDays) {
		return debusine.Invalid{What: fmt.Sprintf("%s must be a number of days between 0 and %d", field, mostDays), Per: map[string]string{field: "out of range"}}
	}
	return nil
}

// patchCollection changes a collection that is named by its number.
func (s *Server) patchCollection(c *call) error {
	var in api.CollectionPatch
	if err := c.bind(&in); err != nil {
		return err
	}
	w, id, err := s.numbered(c)
	if err != nil {
		return err
	}
	changed, err := s.db.UpdateCollection(c.ctx(), w.ID, id, func(one *debusine.Collection) error { return applyPatch(in, one) })
	if err != nil {
		return err
	}
	return c.reply(showCollectionOf(changed))
}

func applyPatch(in api.CollectionPatch, one *debusine.Collection) error {
	for _, fixed := range []struct {
		name string
		same bool
	}{
		{"id", in.ID == nil || *in.ID == one.ID},
		{"category", in.Category == nil || *in.Category == one.Category},
		{"workspace", in.Workspace == nil || *in.Workspace == one.Workspace},
	} {
		if !fixed.same {
			return debusine.Invalid{What: "the " + fixed.name + " of a collection cannot be changed", Per: map[string]string{fixed.name: "must stay"}}
		}
	}
	if in.Name != nil {
		one.Name = *in.Name
	}
	if len(in.Data) > 0 && string(in.Data) != "null" {
		if err := checkData(one.Category, in.Data); err != nil {
			return err
		}
		one.Data = in.Data
	}
	for _, period := range []struct {
		name  string
		given json.RawMessage
		into  **int
	}{
		{"full_history_retention_period", in.FullHistory, &one.FullHistoryDays},
		{"metadata_only_retention_period", in.MetadataOnly, &one.MetadataOnlyDays},
	} {
		if period.given == nil {
			continue
		}
		var n *int
		if json.Unmarshal(period.given, &n) != nil {
			return debusine.Invalid{What: period.name + " must be a number of days, or null", Per: map[string]string{period.name: "not a number"}}
		}
		if err := days(period.name, n); err != nil {
			return err
		}
		*period.into = n
	}
	return nil
}

// deleteCollection removes a collection that is named by its number.
func (s *Server) deleteCollection(c *call) error {
	w, id, err := s.numbered(c)
	if err != nil {
		return err
	}
	one, err := s.db.CollectionByID(c.ctx(), w.ID, id)
	if err != nil {
		return err
	}
	if err := s.db.DeleteCollection(c.ctx(), one); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// numbered reads which collection the path names by its number, and asks for
// the route's right.
func (s *Server) numbered(c *call) (w debusine.Workspace, id int64, err error) {
	if w, err = s.workspace(c, c.Param("workspace")); err != nil {
		return w, 0, err
	}
	if id, err = strconv.ParseInt(c.Param("category"), 10, 64); err != nil {
		err = debusine.WithHint(debusine.Missingf("collection %.80q", c.Param("category")), "here a collection is named by its number")
	}
	return w, id, err
}

// collection reads the one that the path names and asks for the route's right.
func (s *Server) collection(c *call) (debusine.Collection, error) {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return debusine.Collection{}, err
	}
	return s.db.Collection(c.ctx(), w.ID, c.Param("category"), c.Param("name"))
}

func (s *Server) showCollection(c *call) error {
	one, err := s.collection(c)
	if err != nil {
		return err
	}
	shown := showCollectionOf(one)
	if c.QueryParam("stats") != "" {
		counts, err := s.db.CollectionCounts(c.ctx(), one.ID)
		if err != nil {
			return err
		}
		shown.Stats = []api.CollectionCount{}
		for _, n := range counts {
			shown.Stats = append(shown.Stats, api.CollectionCount{Active: n.Active, Category: n.Category, Type: n.Kind, Count: n.Count})
		}
	}
	return c.reply(shown)
}

func (s *Server) listItems(c *call) error {
	one, err := s.collection(c)
	if err != nil {
		return err
	}
	p, err := c.paging()
	if err != nil {
		return err
	}
	f := store.ItemFilter{Before: p.before, Name: c.QueryParam("name"), Prefix: c.QueryParam("name__startswith"), Category: c.QueryParam("category"),
		Removed: c.QueryParam("removed") != ""}
	items, err := s.db.Items(c.ctx(), one.ID, f, p.size+1)
	if err != nil {
		return err
	}
	return c.reply(page(c, s, p, items, func(i debusine.CollectionItem) int64 { return i.ID }, showItem))
}

func (s *Server) showItem(c *call) error {
	one, err := s.collection(c)
	if err != nil {
		return err
	}
	items, err := s.db.Items(c.ctx(), one.ID, store.ItemFilter{Name: c.Param("item")}, 1)
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return debusine.Missingf("item %q of %s@%s", c.Param("item"), one.Name, one.Category)
	}
	return c.reply(showItem(items[0]))
}

func (s *Server) addItem(c *call) error {
	var in api.CollectionItemCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	one, err := s.collection(c)
	if err != nil {
		return err
	}
	a, on, err := s.db.ArtifactHead(c.ctx(), in.Artifact)
	if err == nil {
		err = c.allowVerb(debusine.ReadArtifact, on)
	}
	if err != nil {
		return err
	}
	replace := c.QueryParam("replace") == "true" || c.QueryParam("replace") == "1"
	if !a.Complete {
		return debusine.Conflictf("artifact %d is not complete", a.ID)
	}
	item, err := s.db.AddArtifact(c.ctx(), one, a, in.Variables, c.who.UserID, replace)
	if err != nil {
		return err
	}
	return c.reply(showItem(item))
}

func (s *Server) removeItem(c *call) error {
	one, err := s.collection(c)
	if err != nil {
		return err
	}
	if err := s.db.RemoveItem(c.ctx(), one, c.Param("item"), c.who.UserID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func showCollectionOf(one debusine.Collection) api.Collection {
	links := webSelf("collection/%s/%s/%s/", escape(one.Workspace), escape(one.Category), escape(one.Name))
	links["webui_category"] = place("collection/%s/", escape(one.Workspace))
	return api.Collection{ID: one.ID, Name: one.Name, Category: one.Category, Workspace: one.Workspace, Data: one.Data, Items: one.Items,
		FullHistory: one.FullHistoryDays, MetadataOnly: one.MetadataOnlyDays, Links: links}
}

func showItem(i debusine.CollectionItem) api.CollectionItem {
	return api.CollectionItem{ID: i.ID, Name: i.Name, ChildType: i.Kind, Category: i.Category, Artifact: i.ArtifactID, Collection: i.ChildID,
		Data: i.Data, CreatedAt: i.CreatedAt, RemovedAt: i.RemovedAt,
		CreatedBy: i.CreatedBy, CreatedByWorkflow: i.CreatedByWorkflow, RemovedBy: i.RemovedBy, RemovedByWorkflow: i.RemovedByWorkflow}
}

// showCollectionByID is for those who know a collection's number only.
func (s *Server) showCollectionByID(c *call) error {
	w, id, err := s.numbered(c)
	if err != nil {
		return err
	}
	one, err := s.db.CollectionByID(c.ctx(), w.ID, id)
	if err != nil {
		return err
	}
	return c.reply(showCollectionOf(one))
}
