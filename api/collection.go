package api

import (
	"encoding/json"
	"time"
)

// Collection is a collection, in requests (without ID) and answers.
type Collection struct {
	ID        int64             `json:"id,omitempty"`
	Name      string            `json:"name"`
	Category  string            `json:"category"`
	Workspace string            `json:"workspace,omitempty"`
	Data      json.RawMessage   `json:"data,omitempty"`
	Items     int               `json:"items,omitempty"`
	Stats     []CollectionCount `json:"stats,omitempty"` // with ?stats=1
	Links     map[string]string `json:"links,omitempty"`
	// Days that a removed item keeps its artifact, and that its entry is kept
	// after that; null: for ever.
	FullHistory  *int `json:"full_history_retention_period"`
	MetadataOnly *int `json:"metadata_only_retention_period"`
}

// CollectionCount counts items of a collection that are alike.
type CollectionCount struct {
	Active   bool   `json:"active"`
	Category string `json:"category"`
	Type     string `json:"type"` // bare, artifact, collection
	Count    int    `json:"count"`
}

// CollectionPatch is the body of PATCH collection/WS/ID/: what is left out
// stays, null takes a retention period away. Debusine's client sends the whole
// collection; what cannot be changed must be as it is.
type CollectionPatch struct {
	ID           *int64          `json:"id,omitempty"`
	Name         *string         `json:"name,omitempty"`
	Category     *string         `json:"category,omitempty"`
	Workspace    *string         `json:"workspace,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	FullHistory  json.RawMessage `json:"full_history_retention_period,omitempty"`
	MetadataOnly json.RawMessage `json:"metadata_only_retention_period,omitempty"`
	Items        json.RawMessage `json:"items,omitempty"` // ignored, as are the next two
	Stats        json.RawMessage `json:"stats,omitempty"`
	Links        json.RawMessage `json:"links,omitempty"`
}

// Inheritance is the chain of workspaces that one inherits collections from.
type Inheritance struct {
	Chain []Heir            `json:"chain"`
	Links map[string]string `json:"links,omitempty"`
}

// Heir names a workspace of a chain: by its number, or by its name and, where it
// is another, its scope.
type Heir struct {
	ID        *int64  `json:"id"`
	Scope     *string `json:"scope"`
	Workspace *string `json:"workspace"`
}

// CollectionItem is one entry of a collection.
type CollectionItem struct {
	ID         int64           `json:"id"`
	Name       string          `json:"name"`
	ChildType  string          `json:"child_type"`
	Category   string          `json:"category"`
	Artifact   *int64          `json:"artifact,omitempty"`
	Collection *int64          `json:"collection,omitempty"`
	Data       json.RawMessage `json:"data"`
	CreatedAt  time.Time       `json:"created_at"`
	RemovedAt  *time.Time      `json:"removed_at,omitempty"`
	// Who: users, and workflows on whose behalf.
	CreatedBy         string `json:"created_by_user,omitempty"`
	CreatedByWorkflow *int64 `json:"created_by_workflow,omitempty"`
	RemovedBy         string `json:"removed_by_user,omitempty"`
	RemovedByWorkflow *int64 `json:"removed_by_workflow,omitempty"`
}

// CollectionItemCreate is the body of POST collection/WS/CAT/NAME/item/ (ours).
type CollectionItemCreate struct {
	Artifact  int64          `json:"artifact"`
	Variables map[string]any `json:"variables,omitempty"`
}

// LookupSingle is the body of POST lookup/single/.
type LookupSingle struct {
	Lookup          any    `json:"lookup"` // integer or string
	WorkRequest     *int64 `json:"work_request,omitempty"`
	ExpectType      string `json:"expect_type,omitempty"`
	DefaultCategory string `json:"default_category,omitempty"`
	Workspace       string `json:"workspace"`
}

// LookupMultiple is the body of POST lookup/multiple/.
type LookupMultiple struct {
	Lookup          json.RawMessage `json:"lookup"` // a list of numbers, strings and dictionaries; or one dictionary
	WorkRequest     *int64          `json:"work_request,omitempty"`
	ExpectType      string          `json:"expect_type,omitempty"`
	DefaultCategory string          `json:"default_category,omitempty"`
	Workspace       string          `json:"workspace"`
}

// LookupResult is the answer of POST lookup/single/, and an element of that of
// POST lookup/multiple/.
type LookupResult struct {
	ResultType       string          `json:"result_type"` // bare, artifact, collection
	CollectionItem   *LookupItem     `json:"collection_item"`
	Artifact         *int64          `json:"artifact"`
	Collection       *int64          `json:"collection"`
	CollectionInfo   *CollectionInfo `json:"collection_info"`
	ParentCollection *string         `json:"parent_collection_lookup"` // where the item lies
	Links            Links           `json:"links,omitempty"`
}

// LookupItem is the item of a collection that a lookup found.
type LookupItem struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// CollectionInfo names a collection that a lookup found.
type CollectionInfo struct {
	Name     string `json:"name"`
	Category string `json:"category"`
}
