package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// The packages of an upload stand for it, and those that a signature was made
// for are found through what was signed; each once.
func TestLookupsAreFollowedToWhatATaskNeeds(t *testing.T) {
	w := newWorld(t)
	w.environment("forky", "amd64", "", "")
	deb := func(name string) int64 {
		return w.artifact("debian:binary-package", `{"srcpkg_name": "shim", "srcpkg_version": "1", "deb_fields": {"Package": "`+name+`"}}`)
	}
	template, shim, helper := deb("shim-signed-template"), deb("shim"), deb("shim-helper")
	upload := w.artifact("debian:upload", `{}`)
	input, output := w.artifact("debusine:signing-input", `{}`), w.artifact("debusine:signing-output", `{}`)
	w.relate(upload, shim, "extends")
	w.relate(upload, helper, "extends")
	w.relate(input, template, "relates-to")
	w.relate(input, shim, "relates-to")
	w.relate(output, input, "relates-to")

	extract := w.create("extractforsigning", fmt.Sprintf(`{"environment": "debian/match:codename=forky",
		"input": {"template_artifact": %d, "binary_artifacts": [%d, %d]}}`, template, upload, helper))
	if got, want := fmt.Sprint(w.dynamic(extract)["input_binary_artifacts_ids"]), fmt.Sprint([]int64{shim, helper}); got != want {
		t.Errorf("the packages are %v, not %v", got, want)
	}
	assemble := w.create("assemblesignedsource", fmt.Sprintf(`{"environment": "debian/match:codename=forky", "template": %d, "signed": [%d]}`, template, output))
	if got, want := fmt.Sprint(w.dynamic(assemble)["input_built_using_ids"]), fmt.Sprint([]int64{template, shim}); got != want {
		t.Errorf("built using %v, not %v", got, want)
	}
	if about := w.dynamic(assemble); about["source"] != "shim" || about["suite"] != "forky" {
		raw, _ := json.Marshal(about)
		t.Errorf("described as %s", raw)
	}
}
