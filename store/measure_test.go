package store_test

import (
	"fmt"
	"slices"
	"testing"
)

// Each measure's query runs, its columns are its labels, and its figures are those
// of the rows.
func TestMeasuresCountWhatExists(t *testing.T) {
	w := newWorld(t)
	w.exec(`UPDATE workers SET heard_at = now(), tags_provided = '{worker:build-arch:amd64,worker:build-arch:i386,worker:class:big}' WHERE name = 'one'`)
	w.exec(`INSERT INTO files (sha256, size) VALUES (decode(repeat('00', 32), 'hex'), 100), (decode(repeat('01', 32), 'hex'), 23)`)
	w.exec(`INSERT INTO queues (name, required) VALUES ('build/amd64', '{worker:build-arch:amd64}')`)
	for range 3 {
		w.exec(`INSERT INTO work_requests (workspace_id, created_by, status, task_type, task_name, task_data, queue, pending_at, scheduler_tags_required)
			VALUES ($1, $2, 'pending', 'Worker', 'sbuild', '{"build_architecture": "made up"}', 'build/amd64', now() - interval '1 hour', '{worker:build-arch:amd64,worker:executor:unshare}')`, w.workspace, w.user)
	}
	all, err := w.Measures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range all {
		for _, s := range m.Samples {
			if len(s.Labels) != len(m.Labels) {
				t.Errorf("%s has the labels %q and the values %q", m.Name, m.Labels, s.Labels)
			}
			got[m.Name+fmt.Sprintf("%q", s.Labels)] = s.Value
		}
	}
	for what, want := range map[string]float64{
		`work_requests["Worker" "sbuild" "debusine" "pending" "" "amd64" "unshare"]`: 3,
		`debusine_queue_pending["build/amd64"]`:                                      3,
		`workers["external" "true" "true" "false" "amd64+i386" "big"]`:               1,
		`workers["external" "true" "false" "false" "" ""]`:                           2,
		`file_store_size[]`: 123, `users["true"]`: 1, `workspaces["debusine"]`: 1, `debusine_outbox["starting"]`: 0,
	} {
		if value, ok := got[what]; !ok || value != want {
			t.Errorf("%s is %v, want %v", what, value, want)
		}
	}
	if age := got[`work_request_pending_age["build/amd64"]`]; age < 3600 || age > 3700 {
		t.Errorf("the oldest waits %v s", age)
	}
}

// Whoever makes a thousand queues makes no thousand series.
func TestMeasuresAreBounded(t *testing.T) {
	w := newWorld(t)
	w.exec(`INSERT INTO queues (name, required) SELECT 'build/amd64+class:c' || n, ARRAY['worker:class:c' || n] FROM generate_series(1, 1000) n`)
	w.exec(`INSERT INTO work_requests (workspace_id, created_by, status, task_type, task_name, task_data, queue)
		SELECT $1, $2, 'pending', 'Worker', 'noop', '{}', name FROM queues`, w.workspace, w.user)
	w.exec(`INSERT INTO work_requests (workspace_id, created_by, status, task_type, task_name, task_data, queue)
		VALUES ($1, $2, 'pending', 'Worker', 'noop', '{}', 'build/amd64+class:c999')`, w.workspace, w.user)
	all, err := w.Measures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if len(m.Samples) > 500 {
			t.Errorf("%s has %d series", m.Name, len(m.Samples))
		}
		if m.Name == "debusine_queue_pending" && (len(m.Samples) != 500 || !slices.Equal(m.Samples[0].Labels, []string{"build/amd64+class:c999"})) {
			t.Errorf("of the queues %d are left, the first %v", len(m.Samples), m.Samples[0])
		}
	}
}
