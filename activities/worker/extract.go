package workeract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"debusine"
	"debusine/debian"
	"debusine/executor"
)

// extractForSigning takes the files that want a signature out of binary
// packages: spec §3.9. Packages are read in this process, in bounded memory, and
// never unpacked to disk: no name and no link in them can lead anywhere.
type extractForSigning struct {
	template template
	packages map[string]*binaryPackage // by name
	inputs   []signingInput
}

// signingInput is an artifact to be.
type signingInput struct {
	data  debusine.SigningInputData
	from  int64             // the binary package
	files map[string]string // PACKAGE/FILE to path on disk
}

func (x *extractForSigning) subject() int64 { return x.template.id }

func (x *extractForSigning) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	var in struct {
		Template int64   `json:"input_template_artifact_id"`
		Binaries []int64 `json:"input_binary_artifacts_ids"`
	}
	if err := json.Unmarshal(a.job.Dynamic, &in); err != nil {
		return executor.Command{}, unusablef("the dynamic task data cannot be read: %v", err)
	}
	var err error
	if x.template, err = a.fetchTemplate(ctx, in.Template); err != nil {
		return executor.Command{}, err
	}
	if err := x.find(ctx, a, in.Binaries); err != nil {
		return executor.Command{}, err
	}
	for _, p := range x.template.list.Packages {
		if ctx.Err() != nil {
			return executor.Command{}, context.Cause(ctx)
		}
		input, err := x.extract(ctx, a, p)
		if err != nil {
			return executor.Command{}, err
		}
		x.inputs = append(x.inputs, input)
	}
	return x.report(a)
}

// find learns which artifact has which package, by what the server says: only
// those that the template names are fetched.
func (x *extractForSigning) find(ctx context.Context, a *attempt, ids []int64) error {
	x.packages = map[string]*binaryPackage{}
	for _, id := range ids {
		artifact, err := a.server.Artifact(ctx, id)
		if err != nil {
			return fmt.Errorf("asking for binary package, artifact %d: %w", id, err)
		}
		var data struct {
			Fields struct{ Package string } `json:"deb_fields"`
		}
		if err := json.Unmarshal(artifact.Data, &data); err != nil || artifact.Category != debusine.CategoryBinaryPackage {
			return unusablef("artifact %d is not a binary package", id)
		}
		name := data.Fields.Package
		if other := x.packages[name]; other != nil && other.id != id {
			return unusablef("artifacts %d and %d are both the package %s", other.id, id, name)
		}
		x.packages[name] = &binaryPackage{id: id}
	}
	for _, p := range x.template.list.Packages {
		if x.packages[p.Name] == nil {
			return unusablef("%s wants files of %s signed, which is not among binary_artifacts", x.template.name, p.Name)
		}
	}
	return nil
}

// extract takes the files of one package: names and links in a first pass, the
// contents in a second.
func (x *extractForSigning) extract(ctx context.Context, a *attempt, p debian.SigningPackage) (signingInput, error) {
	from := x.packages[p.Name]
	input := signingInput{from: from.id, files: map[string]string{},
		data: debusine.SigningInputData{TrustedCerts: p.TrustedCerts, BinaryPackageName: p.Name}}
	artifact, err := a.server.Artifact(ctx, from.id)
	if err != nil {
		return input, err
	}
	if from.path, err = a.fetchDeb(ctx, artifact); err != nil {
		return input, err
	}
	deb, err := debian.OpenDeb(from.path)
	if err != nil || deb.Package != p.Name {
		return input, unusablef("artifact %d is not a readable package %s: %v", from.id, p.Name, err)
	}
	wanted, err := resolve(from.path, p)
	if err != nil {
		return input, err
	}
	dir := filepath.Join(a.folder.Path, "tosign", p.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return input, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return input, err
	}
	defer root.Close()
	left, n := int64(maxToSign), 0
	err = walk(from.path, func(e debian.DebEntry, r io.Reader) error {
		names := wanted[e.Name]
		if len(names) == 0 || !e.Mode.IsRegular() || e.HardLink {
			return nil
		}
		n++
		path := fmt.Sprint(n) // names of packages stay out of our disk
		if err := writePlain(root, path, e, r, &left); err != nil {
			return err
		}
		for _, name := range names {
			input.files[p.Name+"/"+name] = filepath.Join(dir, path)
		}
		return nil
	})
	if err == nil && len(input.files) != len(p.Files) {
		err = unusablef("%s holds some of its files twice", p.Name)
	}
	return input, err
}

// resolve tells which entries of a package have the contents of the files that
// are to be signed: entry to names in files.json.
func resolve(path string, p debian.SigningPackage) (map[string][]string, error) {
	tree := debian.PackageTree{}
	if err := walk(path, func(e debian.DebEntry, _ io.Reader) error { tree.Add(e); return nil }); err != nil {
		return nil, err
	}
	wanted := map[string][]string{}
	for _, f := range p.Files {
		entry, err := tree.Resolve(f.Name)
		if err != nil {
			return nil, unusablef("%s: %v", p.Name, err)
		}
		wanted[entry] = append(wanted[entry], f.Name)
	}
	return wanted, nil
}

// report is the command, whose output is the log: what will be signed.
func (x *extractForSigning) report(a *attempt) (executor.Command, error) {
	var text strings.Builder
	for _, input := range x.inputs {
		fmt.Fprintf(&text, "%s (artifact %d):\n", input.data.BinaryPackageName, input.from)
		for _, cert := range input.data.TrustedCerts {
			fmt.Fprintf(&text, "  trusts certificate %s\n", cert)
		}
		names := make([]string, 0, len(input.files))
		for name := range input.files {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&text, "  %s\n", name)
		}
	}
	path := filepath.Join(a.folder.Path, "report")
	return executor.Command{Argv: []string{"cat", path}}, os.WriteFile(path, []byte(text.String()), 0o644)
}

func (x *extractForSigning) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	if !ran.Succeeded() {
		return debusine.Failure, nil
	}
	for _, input := range x.inputs {
		id, err := a.server.CreateArtifact(ctx, debusine.CategorySigningInput, input.data, input.files)
		if err != nil {
			return "", fmt.Errorf("uploading the files of %s: %w", input.data.BinaryPackageName, err)
		}
		if err := a.relate(ctx, []relation{{id, x.template.id, "relates-to"}, {id, input.from, "relates-to"}}); err != nil {
			return "", err
		}
	}
	return debusine.Success, nil
}
