package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"debusine/api"
)

const (
	largeCollection = 10_000 // items
	lookups         = 200    // of one item, each another
	lookupsOfAll    = 9
)

// collectionLookups are look-ups in a collection of 10,000 environments, each an
// artifact of its own: of one by what it is, by its name and by its data, and of
// all in one answer. As in get-work-request the client is net/http alone.
func collectionLookups(ctx context.Context, h *house) ([]Row, error) {
	if err := h.fillCollection(ctx); err != nil {
		return nil, err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var rows []Row
	for name, body := range oneOf() {
		value, err := h.lookupTime(ctx, transport, lookups, body)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", name, err)
		}
		rows = append(rows, newRow(name, value, "ms", atMost(3), 0))
	}
	all := func(int) (string, any, int) {
		return "lookup/multiple/", map[string]any{"workspace": workspace, "lookup": []any{map[string]any{"collection": "large@debian:environments"}}}, largeCollection
	}
	value, err := h.lookupTime(ctx, transport, lookupsOfAll, all)
	if err != nil {
		return rows, fmt.Errorf("all items: %w", err)
	}
	return append(rows, newRow("collection-lookup-all", value, "ms", atMost(200), 0)), nil
}

// asked gives the path and the body of the i-th question, and how many results
// it must have; 0 for the one of lookup/single/.
type asked func(i int) (path string, body any, results int)

// oneOf are the ways to look for one item. Each question is another.
func oneOf() func(yield func(string, asked) bool) {
	codename := func(i int) string { return fmt.Sprintf("codename%d", i*37%largeCollection) }
	single := func(format string) asked {
		return func(i int) (string, any, int) {
			return "lookup/single/", map[string]any{"workspace": workspace, "expect_type": "artifact", "lookup": "large@debian:environments/" + fmt.Sprintf(format, codename(i))}, 0
		}
	}
	return func(yield func(string, asked) bool) {
		_ = yield("collection-lookup-match", single("match:codename=%s:architecture=amd64")) &&
			yield("collection-lookup-name", single("name:tarball:%s:amd64")) &&
			yield("collection-lookup-data", func(i int) (string, any, int) {
				return "lookup/multiple/", map[string]any{"workspace": workspace,
					"lookup": []any{map[string]any{"collection": "large@debian:environments", "data__codename": codename(i)}}}, 1
			})
	}
}

// fillCollection makes the collection by the API and its items by SQL: to upload
// ten thousand tarballs would take longer than all measures together.
func (h *house) fillCollection(ctx context.Context) error {
	c, err := h.CreateCollection(ctx, workspace, api.Collection{Name: "large", Category: "debian:environments", Data: json.RawMessage("{}")})
	if err != nil {
		return err
	}
	_, err = h.db.Exec(ctx, `
		WITH made AS (
		    INSERT INTO artifacts (category, workspace_id, data, complete)
		    SELECT 'debian:system-tarball', c.workspace_id, jsonb_build_object('codename', 'codename' || n, 'architecture', 'amd64', 'vendor', 'debian'), true
		      FROM collections c, generate_series(0, $2::int - 1) n WHERE c.id = $1 RETURNING id, data)
		INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data)
		SELECT $1, 'tarball:' || (data->>'codename') || ':amd64', 'artifact', 'debian:system-tarball', id, data - 'vendor' FROM made`, c.ID, largeCollection)
	return err
}

// lookupTime is the median time of a question in milliseconds, from the first
// byte sent to the last received. The first, which opens the connection, is not
// counted.
func (h *house) lookupTime(ctx context.Context, transport *http.Transport, times int, question asked) (float64, error) {
	var values []float64
	for i := range times + 1 {
		path, body, results := question(i)
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		answer, err := h.post(ctx, transport, path, raw)
		took := milliseconds(time.Since(began))
		if err != nil {
			return 0, err
		}
		if err := countResults(answer, results); err != nil {
			return 0, err
		}
		if i > 0 {
			values = append(values, took)
		}
	}
	return median(values), nil
}

func countResults(answer []byte, want int) error {
	if want == 0 {
		return json.Unmarshal(answer, &api.LookupResult{})
	}
	var list []api.LookupResult
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	if len(list) != want {
		return fmt.Errorf("%d results, wanted %d", len(list), want)
	}
	return nil
}

func (h *house) post(ctx context.Context, transport *http.Transport, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.API()+"/api/1.0/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Token", h.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s: %.300s", path, answer.Status, raw)
	}
	return raw, err
}
