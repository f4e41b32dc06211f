package workflows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

// uploading plays the server for package_upload.
func uploading(t *testing.T, facts task.Uploadables) *house {
	t.Helper()
	h := newHouse(t)
	task.UploadFacts.DoneBy(h, func(context.Context, task.UploadQuestion) (task.Uploadables, error) { return facts, nil })
	task.Outputs.DoneBy(h, func(_ context.Context, q task.OutputQuestion) ([]task.Output, error) {
		return []task.Output{{Artifact: 1000 + q.ID}}, nil
	})
	return h
}

var (
	sourcePackage = task.Uploadable{Artifact: 5, Category: debusine.CategorySourcePackage, Name: "hello", Version: "2.10-3", HasSource: true}
	sourceUpload  = task.Uploadable{Artifact: 6, Category: debusine.CategoryUpload, Name: "hello", Version: "2.10-3", HasSource: true}
	amd64         = task.Uploadable{Artifact: 7, Category: debusine.CategoryUpload, Name: "hello", Version: "2.10-3", HasBinaries: true}
	arm64         = task.Uploadable{Artifact: 8, Category: debusine.CategoryUpload, Name: "hello", Version: "2.10-3", HasBinaries: true}
)

const (
	fingerprint = `"0123456789ABCDEF0123456789ABCDEF01234567"`
	madeSource  = "internal_collections_name_package-upload-source"
	merged      = "internal_collections_name_package-upload-merged-7"
)

// story is what was asked for, in order: step, task, and what it is done to, an
// artifact or what a step has made.
func (h *house) story() (all []string) {
	for _, s := range h.planned {
		var data struct {
			Unsigned debusine.Lookup
			Input    struct {
				Upload debusine.Lookup `json:"upload"`
			}
		}
		_ = json.Unmarshal(s.Data, &data)
		of := data.Unsigned.String() + data.Input.Upload.String()
		for i, made := range h.planned {
			of = strings.ReplaceAll(of, fmt.Sprintf("%d@artifacts", 1100+i), made.Name)
		}
		all = append(all, strings.TrimSpace(s.Name+" "+s.TaskName+" "+of))
	}
	return all
}

func TestUploadsAreSignedAndSentInTheirOrder(t *testing.T) {
	both := task.Uploadables{Source: &sourcePackage, Binaries: []task.Uploadable{amd64, arm64}}
	for name, c := range map[string]struct {
		facts task.Uploadables
		data  string
		want  []string
		first string // before all steps after it in want
	}{
		"a source package alone, with a key": {task.Uploadables{Source: &sourcePackage}, `{"source_artifact": 5, "vendor": "debian", "codename": "trixie", "key": ` + fingerprint + `}`,
			[]string{"make-source-upload makesourcepackageupload", "sign-" + madeSource + " debsign make-source-upload", "upload-" + madeSource + " packageupload sign-" + madeSource}, ""},
		"an upload of a source, not signed": {task.Uploadables{Source: &sourceUpload}, `{"source_artifact": 6, "require_signature": false}`,
			[]string{"upload-6_artifacts packageupload 6@artifacts"}, ""},
		"builds are uploaded after their source": {both, `{"source_artifact": 5, "binary_artifacts": [7, 8], "vendor": "debian", "codename": "trixie", "key": ` + fingerprint + `}`,
			[]string{"make-source-upload makesourcepackageupload", "sign-" + madeSource + " debsign make-source-upload", "sign-7_artifacts debsign 7@artifacts", "sign-8_artifacts debsign 8@artifacts",
				"upload-" + madeSource + " packageupload sign-" + madeSource, "upload-7_artifacts packageupload sign-7_artifacts", "upload-8_artifacts packageupload sign-8_artifacts"}, "upload-" + madeSource},
		"builds with a key of their own are signed after a source that is signed by nobody": {task.Uploadables{Source: &sourceUpload, Binaries: []task.Uploadable{amd64}},
			`{"source_artifact": 6, "binary_artifacts": [7], "require_signature": false, "binary_key": ` + fingerprint + `}`,
			[]string{"sign-7_artifacts debsign 7@artifacts", "upload-6_artifacts packageupload 6@artifacts", "upload-7_artifacts packageupload sign-7_artifacts"}, "upload-6_artifacts"},
		"all in one, which has binaries and so the binary key": {both, `{"source_artifact": 5, "binary_artifacts": [7, 8], "vendor": "debian", "codename": "trixie", "merge_uploads": true, "binary_key": ` + fingerprint + `}`,
			[]string{"make-source-upload makesourcepackageupload", "merge-uploads mergeuploads", "sign-" + merged + " debsign merge-uploads", "upload-" + merged + " packageupload sign-" + merged}, "merge-uploads"},
		"builds alone": {task.Uploadables{Binaries: []task.Uploadable{amd64, arm64}}, `{"binary_artifacts": [7, 8], "key": ` + fingerprint + `}`,
			[]string{"sign-7_artifacts debsign 7@artifacts", "sign-8_artifacts debsign 8@artifacts", "upload-7_artifacts packageupload sign-7_artifacts", "upload-8_artifacts packageupload sign-8_artifacts"}, ""},
		"one that is to be merged with nothing": {task.Uploadables{Source: &sourceUpload}, `{"source_artifact": 6, "merge_uploads": true, "require_signature": false}`,
			[]string{"upload-6_artifacts packageupload 6@artifacts"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := uploading(t, c.facts)
			o := h.run(t, "package_upload", withTarget(c.data))
			got := h.story()
			if o.Result != debusine.Success || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(c.want))) {
				t.Errorf("%+v\n%s\nwanted\n%s", o, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			at := func(list []string, step string) int {
				return slices.IndexFunc(list, func(s string) bool { return strings.HasPrefix(s, step+" ") })
			}
			for _, later := range c.want[at(c.want, c.first)+1:] {
				if step, _, _ := strings.Cut(later, " "); c.first != "" && at(got, step) < at(got, c.first) {
					t.Errorf("%s came before %s", step, c.first)
				}
			}
		})
	}
}

func withTarget(data string) string {
	return strings.TrimSuffix(data, "}") + `, "target": "ftp://host/queue", "delayed_days": 3}`
}

func TestWhatFollowsASourceThatFailedIsLeftOut(t *testing.T) {
	facts := task.Uploadables{Source: &sourceUpload, Binaries: []task.Uploadable{amd64}}
	for name, c := range map[string]struct {
		fails string
		data  string
		steps int
	}{
		"it could not be uploaded":                   {"upload-6_artifacts", `{"source_artifact": 6, "binary_artifacts": [7], "key": ` + fingerprint + `}`, 3},
		"it could not be signed, nor are the builds": {"sign-6_artifacts", `{"source_artifact": 6, "binary_artifacts": [7], "key": ` + fingerprint + `}`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := uploading(t, facts)
			h.results[c.fails] = debusine.Failure
			o := h.run(t, "package_upload", withTarget(c.data))
			if o.Result != debusine.Failure || len(h.planned) != c.steps || len(h.conclusion.Output.Errors) != 1 || !strings.Contains(h.conclusion.Output.Errors[0].Message, "binaries of hello_2.10-3 was not uploaded") {
				t.Errorf("%+v, %v, %+v", o, h.story(), h.conclusion.Output)
			}
		})
	}
}

func TestASignatureOfAPersonIsWaitedFor(t *testing.T) {
	h := uploading(t, task.Uploadables{Source: &sourceUpload})
	h.RegisterDelayedCallback(func() {
		h.SignalWorkflow(task.EndedSignal, task.Outcome{ID: 100, Status: debusine.Completed, Result: debusine.Success})
	}, 20*24*time.Hour)
	o := h.run(t, "package_upload", withTarget(`{"source_artifact": 6}`))
	want := []string{"sign-6_artifacts externaldebsign 6@artifacts", "upload-6_artifacts packageupload sign-6_artifacts"}
	if got := h.story(); o.Result != debusine.Success || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", o, got)
	}
	r := h.planned[0].Reactions.OnSuccess
	if len(r) != 1 || r[0].NameTemplate != "package-upload-signed-6_artifacts" || r[0].Collection != "internal@collections" {
		t.Errorf("its output is named by %+v", r)
	}
	if !strings.Contains(string(h.planned[1].Data), `"require_signature":true`) {
		t.Errorf("uploaded as %s", h.planned[1].Data)
	}
}

func TestWhatCannotBeUploadedTogether(t *testing.T) {
	for name, c := range map[string]struct {
		facts task.Uploadables
		want  string
	}{
		"nothing":                             {task.Uploadables{}, "nothing to upload"},
		"one twice":                           {task.Uploadables{Source: &sourceUpload, Binaries: []task.Uploadable{sourceUpload}}, "twice"},
		"a source package and no environment": {task.Uploadables{Source: &sourcePackage}, "vendor and codename"},
	} {
		if err := workflows.CheckUpload(task.PackageUploadWorkflowData{}, c.facts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
