package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/crash"
	"debusine/dput/dputtest"
)

// An upload is signed by the signing worker and goes over sftp to OpenSSH; the
// server is killed after the archive has it, and before the database knows.
func TestUploads(t *testing.T) {
	needs(t)
	post := dputtest.SSHD(t)
	r := newRegistry(t, "DEBUSINE_UPLOAD_TARGETS="+post.Target.String(), "DEBUSINE_UPLOAD_SSH_KEY="+post.KeyFile,
		"DEBUSINE_UPLOAD_KNOWN_HOSTS="+post.KnownHosts[0], "DEBUSINE_UPLOAD_DELAYS=1s,2s")
	days := filepath.Join(post.Dir, "DELAYED", "3-day")
	for _, dir := range []string{filepath.Dir(days), days} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.uploads(t, map[string]string{"target": `"ftp://elsewhere.example/queue"`}); err == nil || !strings.Contains(err.Error(), "may not upload to") {
		t.Errorf("a target that is not permitted: %v", err)
	}
	to := map[string]string{"target": `"` + post.Target.String() + `"`}
	first := r.uploaded(t, to, "success")
	r.arrived(t, post.Dir, first)
	if again := r.uploaded(t, to, "skipped"); again == first {
		t.Error("it was signed once")
	}
	to["delayed_days"] = "3"
	r.arm(t, crash.Sent, 0)
	delayed := r.uploaded(t, to, "success")
	r.arrived(t, days, delayed)
	if !r.fired(crash.Sent) {
		t.Error("the server was not killed")
	}
}

func (r *registry) uploads(t *testing.T, more map[string]string) (int64, error) {
	t.Helper()
	source, err := json.Marshal(r.upload)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]json.RawMessage{"source_artifact": source, "key": json.RawMessage(`"` + r.generated + `"`)}
	for k, v := range more {
		data[k] = json.RawMessage(v)
	}
	w, err := r.user.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "package_upload", Workspace: "System", TaskData: data})
	return w.ID, err
}

// uploaded waits for an upload and gives the signed artifact that it is of.
func (r *registry) uploaded(t *testing.T, more map[string]string, result string) int64 {
	t.Helper()
	id, err := r.uploads(t, more)
	if err != nil {
		t.Fatal(err)
	}
	if w := until(t, r.user, id, 3*time.Minute, "ended", ended); w.Result != "success" {
		t.Fatalf("%s: %s", w.Result, w.OutputData)
	}
	var signed int64
	for w, err := range r.user.WorkRequests(t.Context(), client.WorkRequestFilter{Parent: id}) {
		if err != nil {
			t.Fatal(err)
		}
		switch w.TaskName {
		case "debsign":
			signed = r.result(t, w.ID).ID
		case "packageupload":
			if w.Result != result {
				t.Errorf("it ended as %q: %s", w.Result, w.OutputData)
			}
		}
	}
	return signed
}

// arrived compares what lies in a queue with the artifact, byte for byte, and has
// Debian's own tool look at it.
func (r *registry) arrived(t *testing.T, dir string, artifact int64) {
	t.Helper()
	a, err := r.user.Artifact(t.Context(), artifact)
	if err != nil {
		t.Fatal(err)
	}
	for name := range a.Files {
		local, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.user.Download(t.Context(), a, name, local, nil); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(local.Name())
		got, missing := os.ReadFile(filepath.Join(dir, name))
		if err := errors.Join(err, missing, local.Close()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes arrived of %d: %v", name, len(got), len(want), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	plain := 0
	for _, e := range entries {
		if e.Type() != fs.ModeDir {
			plain++
		}
	}
	if plain != len(a.Files) {
		t.Errorf("%d files lie there, not %d", plain, len(a.Files))
	}
	certificate, err := r.key(t, "show", r.generated)
	if err != nil {
		t.Fatalf("%v: %s", err, certificate)
	}
	home := t.TempDir()
	check := exec.Command("sh", "-ec", `gpg --homedir . --batch --quiet --dearmor -o key.pgp && dscverify --keyring "$PWD/key.pgp" "$0"/*.changes`, dir)
	check.Dir, check.Stdin, check.Env = home, strings.NewReader(certificate), append(os.Environ(), "GNUPGHOME="+home)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("what arrived does not verify: %v\n%s", err, out)
	}
}
