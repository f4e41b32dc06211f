package server

import (
	"encoding/json"
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
	var in struct {
		api.Collection
		FullHistory  *int `json:"full_history_retention_period"`
		MetadataOnly *int `json:"metadata_only_retention_period"`
	}
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	var data map[string]json.RawMessage
	if len(in.Data) > 0 && (json.Unmarshal(in.Data, &data) != nil || len(data) > 0) {
		return debusine.Invalid{What: "collections of this category take no data", Per: map[string]string{"data": "must be {}"}}
	}
	if in.FullHistory != nil || in.MetadataOnly != nil {
		return debusine.Invalidf("retention periods are not supported yet")
	}
	if err := s.db.CreateCollection(c.ctx(), w.ID, in.Category, in.Name, nil); err != nil {
		return err
	}
	made, err := s.db.Collection(c.ctx(), w.ID, in.Category, in.Name)
	if err != nil {
		return err
	}
	return c.reply(showCollectionOf(made))
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
	return c.reply(showCollectionOf(one))
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
	f := store.ItemFilter{Before: p.before, Name: c.QueryParam("name"), Prefix: c.QueryParam("name__startswith"), Category: c.QueryParam("category")}
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
	return api.Collection{ID: one.ID, Name: one.Name, Category: one.Category, Workspace: one.Workspace, Data: one.Data, Items: one.Items, Links: links}
}

func showItem(i debusine.CollectionItem) api.CollectionItem {
	return api.CollectionItem{ID: i.ID, Name: i.Name, ChildType: i.Kind, Category: i.Category, Artifact: i.ArtifactID, Collection: i.ChildID,
		Data: i.Data, CreatedAt: i.CreatedAt, RemovedAt: i.RemovedAt}
}

// showCollectionByID is for those who know a collection's number only.
func (s *Server) showCollectionByID(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.Param("category"), 10, 64)
	if err != nil {
		return debusine.Missingf("collection %.80q", c.Param("category"))
	}
	one, err := s.db.CollectionByID(c.ctx(), w.ID, id)
	if err != nil {
		return err
	}
	return c.reply(showCollectionOf(one))
}
