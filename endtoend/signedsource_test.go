package endtoend

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/sign/signtest"
)

// makesSignedSource goes the whole way that Debian goes with what boots: a package
// is built, what its template names is signed by the signing worker, and the source
// that is made of both is built. Firmware's own verifier judges what came out.
func (y yard) makesSignedSource(t *testing.T) {
	t.Parallel()
	y.house.signers(t, y.c)
	key := keyFor(t, y.c, "uefi")
	y.house.admin(t, "key", "grant", key, "Signers", "--workspace", "debusine/System")
	dir := filepath.Join(t.TempDir(), "tiny")
	write(t, dir, signtest.Bootable())
	root, build := startBuild(t, y.c, packed(t, y.c, dir), y.codename)
	if w := until(t, y.c, root, 15*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("ended with %q: %s", w.Result, w.OutputData)
	}
	template := binary(t, y.c, build, "tiny-amd64-signed-template")
	w, err := y.c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "make_signed_source", Workspace: "System", TaskData: map[string]json.RawMessage{
		"vendor": json.RawMessage(`"debian"`), "codename": json.RawMessage(fmt.Sprintf("%q", y.codename)), "purpose": json.RawMessage(`"uefi"`), "key": json.RawMessage(fmt.Sprintf("%q", key)),
		"binary_artifacts":           json.RawMessage(fmt.Sprintf("[%d, %d]", binary(t, y.c, build, "tiny").ID, template.ID)),
		"signing_template_artifacts": json.RawMessage(fmt.Sprintf("[%d]", template.ID))}})
	if err != nil {
		t.Fatal(err)
	}
	if w = until(t, y.c, w.ID, 15*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("ended with %q: %s%s", w.Result, w.OutputData, family(t, y.c, w.ID))
	}
	steps := children(t, y.c, w.ID)
	var names []string
	for _, step := range steps {
		names = append(names, step.TaskType+" "+step.TaskName)
	}
	if want := []string{"Worker extractforsigning", "Signing sign", "Worker assemblesignedsource", "Workflow sbuild"}; !slices.Equal(names, want) {
		t.Fatalf("its steps are %q, not %q", names, want)
	}
	built := children(t, y.c, steps[3].ID)
	if len(built) != 1 {
		t.Fatalf("%d builds of the signed source", len(built))
	}
	boots(t, y.c, binary(t, y.c, built[0].ID, "tiny-signed"), key)
}

// boots has sbverify look at what is signed in a package, with the key's certificate
// and with another.
func boots(t *testing.T, c *client.Client, deb api.Artifact, key string) {
	t.Helper()
	dir := download(t, c, deb)
	assets, err := c.Assets(t.Context(), client.AssetFilter{Fingerprint: key})
	if err != nil || len(assets) != 1 {
		t.Fatalf("%d keys, %v", len(assets), err)
	}
	certificate, err := base64.StdEncoding.DecodeString(assets[0].Data.PublicKey)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	script := `dpkg-deb -x *.deb x && sbverify --cert cert.pem x/usr/lib/tiny/tiny.efi.signed
		openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=Other -keyout /dev/null -out other.pem 2>&1
		! sbverify --cert other.pem x/usr/lib/tiny/tiny.efi.signed`
	check := exec.Command("sh", "-exc", script)
	check.Dir = dir
	if said, err := check.CombinedOutput(); err != nil {
		t.Errorf("it does not boot: %v\n%s", err, said)
	}
}

// binary is the binary package of a name that a build made.
func binary(t *testing.T, c *client.Client, build int64, name string) api.Artifact {
	t.Helper()
	for a, err := range c.Artifacts(t.Context(), client.ArtifactFilter{WorkRequest: build, Category: "debian:binary-package"}) {
		if err != nil {
			t.Fatal(err)
		}
		var data struct {
			Fields struct{ Package string } `json:"deb_fields"`
		}
		if json.Unmarshal(a.Data, &data) == nil && data.Fields.Package == name {
			return a
		}
	}
	t.Fatalf("work request %d made no package %s", build, name)
	return api.Artifact{}
}

// children are the steps of a workflow, oldest first.
func children(t *testing.T, c *client.Client, id int64) (all []api.WorkRequest) {
	t.Helper()
	for w, err := range c.WorkRequests(t.Context(), client.WorkRequestFilter{Parent: id}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b api.WorkRequest) int { return int(a.ID - b.ID) })
	return all
}

// family tells how all below a workflow ended.
func family(t *testing.T, c *client.Client, id int64) string {
	t.Helper()
	var told strings.Builder
	for _, w := range children(t, c, id) {
		fmt.Fprintf(&told, "\n%d %s: %s %s %s%s", w.ID, w.TaskName, w.Status, w.Result, w.OutputData, family(t, c, w.ID))
	}
	return told.String()
}
