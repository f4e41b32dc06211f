package workflows

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// PackageUpload signs uploads and brings them to the queue of an archive (spec
// §4.7): a source package becomes an upload first; several may become one. What
// has no source follows the source, signed and uploaded after it.
func PackageUpload(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	p := &packageUpload{start: start}
	return runStory(ctx, start, "Uploading a package", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		p.board = b
		if err := p.prepare(ctx); err != nil {
			return "", p.output, err
		}
		result, err := p.run(ctx)
		return result, p.output, err
	})
}

type packageUpload struct {
	start  task.WorkflowStart
	data   task.PackageUploadWorkflowData
	facts  task.Uploadables
	output debusine.OutputData
	board  *board
}

// parcel is an upload on its way.
type parcel struct {
	task.Uploadable
	lookup string // by which it goes into the names of what is made of it
}

func (p *packageUpload) prepare(ctx workflow.Context) (err error) {
	if err := read(p.start, &p.data); err != nil {
		return err
	}
	if p.facts, err = task.UploadFacts.OnServer(ctx, task.UploadQuestion{ID: p.start.ID}); err != nil {
		return err
	}
	if err := CheckUpload(p.data, p.facts); err != nil {
		return fault(err.Error())
	}
	about := p.facts.Source
	if about == nil {
		about = &p.facts.Binaries[0]
	}
	p.board.about = fmt.Sprintf("Uploading %s %s to %s", about.Name, about.Version, p.data.Target)
	d := task.Description{Source: about.Name, Version: about.Version, Suite: p.data.Codename}
	return workflow.UpsertTypedSearchAttributes(ctx, d.Attributes()...)
}

// CheckUpload refuses what cannot be uploaded together.
func CheckUpload(data task.PackageUploadWorkflowData, facts task.Uploadables) error {
	if facts.Source == nil && len(facts.Binaries) == 0 {
		return debusine.Invalid{What: "there is nothing to upload", Hint: "the lookups of binary_artifacts came to nothing"}
	}
	seen := map[int64]bool{}
	for _, u := range facts.All() {
		if seen[u.Artifact] {
			return debusine.Invalidf("artifact %d is to be uploaded twice", u.Artifact)
		}
		seen[u.Artifact] = true
	}
	if s := facts.Source; s != nil && s.Category == debusine.CategorySourcePackage && (data.Vendor == "" || data.Codename == "") {
		return debusine.Invalid{What: "vendor and codename must be given, since source_artifact is a source package",
			Hint: "they name the environment in which its upload is made", Per: map[string]string{"vendor": "missing", "codename": "missing"}}
	}
	return nil
}

func (p *packageUpload) run(ctx workflow.Context) (debusine.Result, error) {
	parcels, ok, err := p.gather(ctx)
	if err != nil || !ok {
		return debusine.Failure, err
	}
	return p.sendAll(ctx, parcels)
}

// gather makes what is uploaded; not ok, when that failed.
func (p *packageUpload) gather(ctx workflow.Context) (parcels []parcel, ok bool, err error) {
	if s := p.facts.Source; s != nil {
		source := parcel{*s, fmt.Sprintf("%d@artifacts", s.Artifact)}
		if s.Category == debusine.CategorySourcePackage {
			if source, ok, err = p.makeSource(ctx, *s); err != nil || !ok {
				return nil, false, err
			}
		}
		parcels = append(parcels, source)
	}
	for _, u := range p.facts.Binaries {
		parcels = append(parcels, parcel{u, fmt.Sprintf("%d@artifacts", u.Artifact)})
	}
	if !p.data.MergeUploads || len(parcels) < 2 {
		return parcels, true, nil
	}
	return p.merge(ctx, parcels)
}

func (p *packageUpload) makeSource(ctx workflow.Context, s task.Uploadable) (parcel, bool, error) {
	data := task.MakeSourcePackageUploadData{SinceVersion: p.data.SinceVersion, TargetDistribution: p.data.TargetDistribution,
		Environment: p.data.Environment(), BuildArchitecture: p.data.AllOn()}
	data.Input.SourceArtifact = debusine.LookupID(s.Artifact)
	made, ok, err := p.do(ctx, "make-source-upload", "makesourcepackageupload", "Make an upload of "+s.Name+"_"+s.Version, data, "package-upload-source")
	s.Artifact, s.Category = made, debusine.CategoryUpload
	return parcel{s, "internal@collections/name:package-upload-source"}, ok, err
}

func (p *packageUpload) merge(ctx workflow.Context, parcels []parcel) ([]parcel, bool, error) {
	name := fmt.Sprintf("package-upload-merged-%d", p.start.ID)
	all := parcel{parcels[0].Uploadable, "internal@collections/name:" + name}
	data := task.MergeUploadsData{BuildArchitecture: p.data.AllOn()}
	for _, u := range parcels {
		data.Input.Uploads = append(data.Input.Uploads, debusine.LookupID(u.Artifact))
		all.HasSource, all.HasBinaries = all.HasSource || u.HasSource, all.HasBinaries || u.HasBinaries
	}
	made, ok, err := p.do(ctx, "merge-uploads", "mergeuploads", fmt.Sprintf("Merge %d uploads of %s_%s", len(parcels), all.Name, all.Version), data, name)
	all.Artifact = made
	return []parcel{all}, ok, err
}

// do has one child done that makes an upload, and tells which.
func (p *packageUpload) do(ctx workflow.Context, step, name, display string, data any, item string) (made int64, ok bool, err error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return 0, false, err
	}
	s := task.Step{Name: step, TaskName: name, Data: raw, Display: display}
	if item != "" {
		s.Reactions.OnSuccess = []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections", NameTemplate: item,
			Filters: map[string]any{"category": debusine.CategoryUpload}}}
	}
	outcomes, err := runSteps(ctx, p.start, p.board, s)
	if err != nil || !outcomes[0].Succeeded() || item == "" {
		return 0, err == nil && outcomes[0].Succeeded(), err
	}
	found, err := task.Outputs.OnServer(ctx, task.OutputQuestion{ID: outcomes[0].ID, Category: debusine.CategoryUpload})
	if err != nil {
		return 0, false, err
	}
	if len(found) == 0 {
		return 0, false, fault(fmt.Sprintf("work request %d has made no upload", outcomes[0].ID))
	}
	return found[len(found)-1].Artifact, true, nil
}

// stages are those of the source that what has none waits for.
type stages struct{ signed, uploaded workflow.Future }

// sendAll signs and uploads each, beside one another but for what follows the
// source: its upload, and the signature by a key of its own.
func (p *packageUpload) sendAll(ctx workflow.Context, parcels []parcel) (debusine.Result, error) {
	signed, isSigned := workflow.NewFuture(ctx)
	uploaded, isUploaded := workflow.NewFuture(ctx)
	var (
		failed error
		good   = true
		first  = -1
		all    = workflow.NewWaitGroup(ctx)
	)
	for i, u := range parcels {
		if u.HasSource && first < 0 {
			first = i
		}
	}
	for i, u := range parcels {
		var before *stages
		if first >= 0 && i != first && !u.HasSource {
			before = &stages{signed, uploaded}
		}
		all.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer all.Done()
			tellSigned := func(ok bool) {}
			if i == first {
				tellSigned = func(ok bool) { isSigned.Set(ok, nil) }
			}
			ok, err := p.send(ctx, u, before, tellSigned)
			if i == first {
				isUploaded.Set(ok && err == nil, nil)
			}
			good = good && ok
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	all.Wait(ctx)
	if failed != nil {
		return "", failed
	}
	if !good {
		return debusine.Failure, nil
	}
	return debusine.Success, nil
}

// send signs one upload and brings it to the target.
func (p *packageUpload) send(ctx workflow.Context, u parcel, before *stages, tellSigned func(bool)) (ok bool, err error) {
	told := false
	tell := func(ok bool) {
		if !told {
			told = true
			tellSigned(ok)
		}
	}
	defer func() { tell(false) }()
	key := p.data.KeyFor(u.Uploadable)
	if before != nil && key != "" && p.data.Key == "" && !p.after(ctx, before.signed, u, "the source was not signed") {
		return false, ctx.Err()
	}
	signed, ok, err := p.sign(ctx, u, key)
	if err != nil || !ok {
		return false, err
	}
	tell(true)
	if before != nil && !p.after(ctx, before.uploaded, u, "the source was not uploaded") {
		return false, ctx.Err()
	}
	mustSign := p.data.MustSign() || key != ""
	data := task.PackageUploadData{Target: p.data.Target, DelayedDays: p.data.DelayedDays, RequireSignature: &mustSign, Force: p.data.Force}
	data.Input.Upload = debusine.LookupID(signed)
	_, ok, err = p.do(ctx, "upload-"+u.word(), "packageupload", "Upload "+u.title()+" to "+p.data.Target, data, "")
	return ok, err
}

// after waits for a stage of the source; where that failed, what follows is left
// out, and told.
func (p *packageUpload) after(ctx workflow.Context, stage workflow.Future, u parcel, why string) bool {
	var ok bool
	if err := stage.Get(ctx, &ok); err != nil {
		return false
	}
	if !ok {
		p.output.Errors = append(p.output.Errors, debusine.TaskError{Message: u.title() + " was not uploaded: " + why, Code: "dependency-failed"})
	}
	return ok
}

// sign has an upload signed: with a key, by a person, or not at all.
func (p *packageUpload) sign(ctx workflow.Context, u parcel, key string) (signed int64, ok bool, err error) {
	item := "package-upload-signed-" + u.word()
	switch {
	case key != "":
		return p.do(ctx, "sign-"+u.word(), "debsign", "Sign "+u.title(), task.DebsignData{Unsigned: debusine.LookupID(u.Artifact), Key: key}, item)
	case p.data.MustSign():
		return p.do(ctx, "sign-"+u.word(), "externaldebsign", "Wait for a signature of "+u.title(), task.ExternalDebsignData{Unsigned: debusine.LookupID(u.Artifact)}, item)
	}
	return u.Artifact, true, nil
}

// word is the lookup as it stands in names.
func (u parcel) word() string {
	return strings.NewReplacer(":", "_", "@", "_", "/", "_").Replace(u.lookup)
}

func (u parcel) title() string {
	kind := "source"
	if u.HasBinaries {
		kind = "binaries"
		if u.HasSource {
			kind = "source and binaries"
		}
	}
	return fmt.Sprintf("%s of %s_%s", kind, u.Name, u.Version)
}
