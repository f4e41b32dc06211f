package cli

import (
	"slices"
	"strings"
	"testing"

	"debusine/api"
)

func TestBackendsOfMachines(t *testing.T) {
	rows := backendsOf([]api.Worker{
		{Name: "one", Dynamic: map[string]any{"system:backends": map[string]any{"unshare": "yes", "qemu": "no: the program qemu-img is missing"}}},
		{Name: "old"},
		{Name: "strange", Dynamic: map[string]any{"system:backends": []any{"unshare"}}},
	})
	var got []string
	for _, row := range rows {
		got = append(got, strings.Join(row, "|"))
	}
	if want := []string{"one|qemu|no: the program qemu-img is missing", "one|unshare|yes"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
