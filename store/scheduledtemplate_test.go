package store_test

import (
	"errors"
	"testing"

	"debusine"
)

// Whoever changes what a schedule starts acts with the rights of its maker.
func TestWhatAnothersScheduleStartsIsNotChanged(t *testing.T) {
	w := newWorld(t)
	var other int64
	w.one(`INSERT INTO users (username) VALUES ('mallory') RETURNING id`, &other)
	w.exec(`INSERT INTO schedules (workspace_id, name, template, task_data, every_seconds, created_by) VALUES ($1, 'nightly', 'upload', '{}', 3600, $2)`, w.workspace, w.user)
	for name, c := range map[string]struct {
		user     int64
		template []string
		refused  bool
	}{
		"another's":                {other, []string{"upload"}, true},
		"another's, by its number": {other, []string{"x", "7", "upload"}, true},
		"one's own":                {w.user, []string{"upload"}, false},
		"one that nothing starts":  {other, []string{"build"}, false},
	} {
		err := w.CheckScheduled(t.Context(), c.user, w.workspace, c.template...)
		if errors.As(err, new(debusine.Conflict)) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.exec(`UPDATE schedules SET deleted_at = now()`)
	w.must(w.CheckScheduled(t.Context(), other, w.workspace, "upload"))
}
