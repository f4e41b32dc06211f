package task

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"debusine"
)

func TestMakeSignedSourceIsAboutItsTemplates(t *testing.T) {
	raw, err := ParseWorkflow("make-signed-source", json.RawMessage(`{"binary_artifacts": [5, "internal@collections/name:build-amd64"], "signing_template_artifacts": 6,
		"vendor": "debian", "codename": "trixie", "purpose": "uefi", "key": `+uefiKey+`, "architectures": ["amd64", "all"], "sbuild_backend": "auto"}`))
	if err != nil {
		t.Fatal(err)
	}
	d := raw.(*MakeSignedSourceData)
	if len(d.BinaryArtifacts) != 2 || len(d.SigningTemplateArtifacts) != 1 || d.Key != strings.ToUpper(strings.Trim(uefiKey, `"`)) || d.TargetDistribution() != "debian:trixie" {
		t.Errorf("%+v", d)
	}
	template := debusine.Artifact{ID: 9, Category: debusine.CategoryBinaryPackage, Data: json.RawMessage(`{"srcpkg_name": "shim", "srcpkg_version": "15.8-1", "deb_fields": {"Package": "shim-amd64-signed-template", "Architecture": "amd64"}}`)}
	// An upload that extends nothing stays what it is, and is no package.
	facts := d.Facts(map[string][]debusine.Artifact{signedTemplates: {template, template}, signedBinaries: {{ID: 5, Category: debusine.CategoryUpload, Data: json.RawMessage(`{}`)}}})
	if len(facts.Binaries) != 0 || len(facts.Templates) != 1 || facts.Templates[0] != (Binary{9, "shim-amd64-signed-template", "amd64", "shim", "15.8-1"}) {
		t.Errorf("%+v", facts)
	}
	about := d.Describe(map[string][]debusine.Artifact{signedTemplates: {template}})
	if about.Subject != "shim" || about.ParameterSummary != "shim_15.8-1" || about.Suite != "trixie" {
		t.Errorf("%+v", about)
	}
	if about := d.Describe(nil); about.Subject != "" {
		t.Errorf("%+v", about)
	}
	if !slices.Contains(Workflows(), MakeSignedSourceWorkflow) || !slices.Contains(WorkflowParameters(MakeSignedSourceWorkflow), "purpose") {
		t.Error("nobody knows it")
	}
}

func TestMakeSignedSourceRefuses(t *testing.T) {
	good := map[string]string{"binary_artifacts": "[5]", "signing_template_artifacts": "[6]", "vendor": `"debian"`, "codename": `"trixie"`, "purpose": `"uefi"`, "key": uefiKey}
	for name, c := range map[string]struct{ field, value, want string }{
		"no packages":                   {"binary_artifacts", "[]", "binary_artifacts"},
		"no templates":                  {"signing_template_artifacts", "null", "signing_template_artifacts"},
		"more than can be":              {"binary_artifacts", "[" + strings.Repeat("5,", 1000) + "5]", "1001 entries"},
		"a vendor that is a path":       {"vendor", `"debian/x"`, "vendor must be"},
		"a codename that filters":       {"codename", `"trixie:variant=x"`, "codename must be"},
		"a purpose that signs no files": {"purpose", `"openpgp-repository"`, "purpose must be"},
		"the key of another purpose":    {"key", openPGPKey, "64 hexadecimal digits"},
		"an architecture that is none":  {"architectures", `["pdp11"]`, "pdp11"},
		"an architecture twice":         {"architectures", `["amd64", "amd64"]`, "given twice"},
		"a backend that nobody has":     {"sbuild_backend", `"chroot"`, "chroot"},
		"a parameter that it has not":   {"prefix", `"x"`, "prefix"},
	} {
		fields := []string{}
		for field, value := range good {
			if field != c.field {
				fields = append(fields, `"`+field+`": `+value)
			}
		}
		fields = append(fields, `"`+c.field+`": `+c.value)
		if _, err := ParseWorkflow(MakeSignedSourceWorkflow, json.RawMessage("{"+strings.Join(fields, ", ")+"}")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not about %q", name, err, c.want)
		}
	}
}
