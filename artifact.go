package debusine

import (
	"encoding/json"
	"time"
)

// Artifact is a set of files with a category and data; it never changes once
// it is complete.
type Artifact struct {
	ID                   int64
	Category             string
	Scope, Workspace     string
	WorkspaceID          int64
	Data                 json.RawMessage
	CreatedAt            time.Time
	CreatedBy            string
	CreatedByWorkRequest *int64
	ExpireAt             *time.Time
	Complete             bool
	Files                []ArtifactFile
}

// ArtifactFile is one file of an artifact. SHA256 is lower-case hexadecimal,
// Size in bytes.
type ArtifactFile struct {
	Path        string
	Size        int64
	SHA256      string
	ContentType string
	Complete    bool
}

// Relation joins two artifacts: extends, relates-to or built-using.
type Relation struct {
	ID       int64
	Artifact int64
	Target   int64
	Type     string
}

// Collection is a named set of items of a workspace.
type Collection struct {
	ID               int64
	Scope, Workspace string
	WorkspaceID      int64
	Category, Name   string
	Data             json.RawMessage
	Items            int // active ones
	// Days that a removed item keeps its artifact, and that its row is kept after
	// that; nil: for ever.
	FullHistoryDays, MetadataOnlyDays *int
}

// CollectionCount counts the items of a collection that are alike.
type CollectionCount struct {
	Active   bool // not removed
	Category string
	Kind     string // bare, artifact, collection
	Count    int
}

// CollectionItem is one entry: a bare piece of data, an artifact or another
// collection.
type CollectionItem struct {
	ID           int64
	CollectionID int64
	Name         string
	Kind         string // bare, artifact, collection
	Category     string
	ArtifactID   *int64
	ChildID      *int64 // a collection
	Data         json.RawMessage
	CreatedAt    time.Time
	RemovedAt    *time.Time
	// Who, in lists alone: users, and workflows on whose behalf.
	CreatedBy, RemovedBy                 string
	CreatedByWorkflow, RemovedByWorkflow *int64
}
