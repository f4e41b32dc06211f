package cli

import (
	"encoding/json"
	"slices"
	"testing"

	"debusine/api"
)

func TestWhatIsWorthKnowingIsShown(t *testing.T) {
	w := api.WorkRequest{OutputData: json.RawMessage(`{"skip_reason": "it was uploaded already", "notes": ["it was taken", "a\u001b[2Jb"], "errors": [{"message": "no", "code": "x"}]}`)}
	pairs := outputPairs(w)
	for _, want := range [][2]string{{"Reason", "no"}, {"Skipped", "it was uploaded already"}, {"Note", "it was taken"}} {
		if !slices.Contains(pairs, want) {
			t.Errorf("%q is not among %q", want, pairs)
		}
	}
	if slices.Contains(pairs, [2]string{"Note", "a\x1b[2Jb"}) {
		t.Error("a note moves the terminal's cursor")
	}
}
