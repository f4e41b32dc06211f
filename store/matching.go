package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
)

// matching builds the WHERE of lookup.Conditions on collection_items i.
type matching struct {
	where []string
	args  []any
}

// arg adds a value and gives its placeholder.
func (m *matching) arg(v any) string {
	m.args = append(m.args, v)
	return fmt.Sprintf("$%d", len(m.args))
}

func (m *matching) add(format string, values ...any) {
	m.where = append(m.where, fmt.Sprintf(format, values...))
}

// Matching gives at most limit active items for which all conditions hold, by
// number; those whose artifact the user may not see are left out. Artifacts
// come without their data, which look-ups of many have no use for.
func (r reader) Matching(ctx context.Context, collection int64, c lookup.Conditions, limit int) ([]lookup.Result, error) {
	m := &matching{args: []any{r.user}}
	m.add(door(c), m.arg(collection))
	m.conditions(c)
	rows, err := r.q.Query(ctx, `
		SELECT i.id, i.name, i.child_type, i.category, i.data, i.created_at, i.artifact_id, coalesce(a.workspace_id, 0), coalesce(a.created_at, i.created_at)
		  FROM collection_items i LEFT JOIN artifacts a ON a.id = i.artifact_id
		 WHERE i.removed_at IS NULL AND `+strings.Join(m.where, " AND ")+`
		   AND (i.artifact_id IS NULL OR (a.complete AND a.workspace_id IN (SELECT w.id FROM workspaces w WHERE `+visible+`)
		        AND NOT EXISTS (SELECT FROM attempts t WHERE t.id = a.created_by_attempt AND t.ending IS DISTINCT FROM 'completed')))
		 ORDER BY i.id LIMIT `+m.arg(limit), m.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (lookup.Result, error) {
		item, a := &debusine.CollectionItem{CollectionID: collection}, &debusine.Artifact{Complete: true}
		err := row.Scan(&item.ID, &item.Name, &item.Kind, &item.Category, &item.Data, &item.CreatedAt, &item.ArtifactID, &a.WorkspaceID, &a.CreatedAt)
		if item.ArtifactID == nil {
			return lookup.Result{Item: item}, err
		}
		a.ID, a.Category = *item.ArtifactID, item.Category
		return lookup.Result{Item: item, Artifact: a}, err
	})
}

// door is the form in which the query names its collection, which decides what
// index it is for (schema: collection_items_*).
func door(c lookup.Conditions) string {
	byData := false
	for _, x := range c.Matches {
		switch {
		case x.Key == "" && (x.How == lookup.Equals || x.How == lookup.In || (x.How == lookup.StartsWith && x.Values[0] != "")):
			return "i.collection_id = %s"
		case x.Key != "" && len(x.Values) == 1 && (x.How == lookup.Equals || x.How == lookup.In) && containable(x.Values[0]):
			byData = true
		}
	}
	if byData {
		return "i.collection_id + 0 = %s"
	}
	return "-i.collection_id = -(%s::bigint)"
}

func (m *matching) conditions(c lookup.Conditions) {
	switch c.Type {
	case lookup.Bare, lookup.Artifact, lookup.Collection:
		m.add("i.child_type = %s", m.arg(c.Type))
	case lookup.ArtifactOrPromise:
		m.add("(i.child_type = 'artifact' OR i.category = 'debusine:promise')")
	}
	if c.Category != "" {
		m.add("i.category = %s", m.arg(c.Category))
	}
	for _, match := range c.Matches {
		m.match(match)
	}
	if c.Beside != nil {
		m.add("i.data->>'work_request_id' IN (SELECT b.created_by_work_request::text FROM artifacts b WHERE b.id = ANY(%s))", m.arg(c.Beside))
	}
	if c.Siblings != nil {
		m.add(`i.data->>'work_request_id' IN (SELECT s.id::text FROM artifacts b JOIN work_requests m ON m.id = b.created_by_work_request
			JOIN work_requests s ON s.parent_id = m.parent_id WHERE b.id = ANY(%s))`, m.arg(c.Siblings))
	}
}

// match compares names and data without patterns: nothing in a value has a
// meaning of its own.
func (m *matching) match(x lookup.Match) {
	text := `i.name`
	if x.Key != "" {
		text = "i.data->>" + m.arg(x.Key) + "::text"
	}
	switch x.How {
	case lookup.Contains:
		m.add("strpos(%s, %s) > 0", text, m.arg(x.Values[0]))
	case lookup.EndsWith:
		value := m.arg(x.Values[0])
		m.add("right(%s, length(%s)) = %s", text, value, value)
	case lookup.StartsWith:
		value := m.arg(x.Values[0])
		m.add("starts_with(%s, %s)", text, value)
		if x.Key == "" {
			// The range for the index: no name holds the last character of all.
			m.add(`i.name >= %s AND i.name < %s || '`+"\U0010FFFF"+`'`, value, value)
		}
	default:
		m.add("%s = ANY(%s::text[])", text, m.arg(x.Values))
		if len(x.Values) == 1 && x.Key != "" {
			m.contains(x.Key, x.Values[0])
		}
	}
}

// contains says the same as an equal text in a way that the index on data
// knows: the value is that string, or that number or boolean.
func (m *matching) contains(key, value string) {
	switch literal(value).(type) {
	case nil:
		m.add("i.data @> jsonb_build_object(%s::text, %s::text)", m.arg(key), m.arg(value))
	case float64, bool:
		m.add("(i.data @> jsonb_build_object(%[1]s::text, %[2]s::text) OR i.data @> jsonb_build_object(%[1]s::text, %[2]s::jsonb))", m.arg(key), m.arg(value))
	}
}

// containable says that contains has something to say.
func containable(value string) bool {
	switch literal(value).(type) {
	case nil, float64, bool:
		return true
	}
	return false
}

// literal is the JSON that a text could be of; nil when it can only be a string.
func literal(value string) (v any) {
	if json.Unmarshal([]byte(value), &v) != nil {
		return nil
	}
	if v == nil {
		return value // null, which a text may be and a containment would not find
	}
	return v
}

// longestLookup bounds what one lookup may take of the database.
const longestLookup = 10 * time.Second

// Asking is who looks things up, and where: in a workspace, and when WorkRequest
// is not zero with the internal collection of its workflow.
type Asking struct{ User, Workspace, WorkRequest int64 }

// LookupSingle resolves a lookup for a user.
func (db *DB) LookupSingle(ctx context.Context, who Asking, l debusine.Lookup, expect lookup.Expect) (result lookup.Result, err error) {
	query, err := lookup.Parse(l, expect)
	if err != nil {
		return lookup.Result{}, err
	}
	err = db.asking(ctx, who, func(ctx context.Context, r reader) error {
		result, err = query.Resolve(ctx, r, nil)
		return err
	})
	return result, err
}

// LookupMultiple resolves a lookup of many results for a user. Artifacts that
// come from collections are without their data.
func (db *DB) LookupMultiple(ctx context.Context, who Asking, raw json.RawMessage, expect lookup.Expect) (results []lookup.Result, err error) {
	query, err := lookup.ParseMultiple(raw, expect)
	if err != nil {
		return nil, err
	}
	err = db.asking(ctx, who, func(ctx context.Context, r reader) error {
		results, err = query.Resolve(ctx, r)
		return err
	})
	return results, err
}

// asking runs a lookup within its time.
func (db *DB) asking(ctx context.Context, who Asking, do func(context.Context, reader) error) error {
	r := reader{q: db.pool, workspace: who.Workspace, user: who.User}
	if who.WorkRequest != 0 {
		var err error
		if r, err = r.within(ctx, who.WorkRequest); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, longestLookup)
	defer cancel()
	err := do(limited, r)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return debusine.WithHint(debusine.Invalidf("the lookup takes more than %s", longestLookup), "narrow it, for example with category or name")
	}
	return err
}
