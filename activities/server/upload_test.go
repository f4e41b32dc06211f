package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"debusine"
	"debusine/activities/server"
	"debusine/debian"
	"debusine/dput/dputtest"
	"debusine/files"
	"debusine/store"
	"debusine/store/storetest"
)

// office is a server that uploads to a queue of the test.
type office struct {
	*server.Uploads
	db        *store.DB
	post      *dputtest.Post
	user      int64
	workspace int64
	noted     func() // once it is recorded that a .changes will be sent
}

// BeginUpload lets a test look at the moment before.
func (o *office) BeginUpload(ctx context.Context, u store.Upload) error {
	err := o.db.BeginUpload(ctx, u)
	if o.noted != nil {
		o.noted()
	}
	return err
}

func (o *office) UploadFiles(ctx context.Context, id, artifact int64) ([]store.UploadFile, string, error) {
	return o.db.UploadFiles(ctx, id, artifact)
}

func (o *office) OneUpload(ctx context.Context, u store.Upload, do func(context.Context, store.Upload) error) error {
	return o.db.OneUpload(ctx, u, do)
}

func (o *office) EndUpload(ctx context.Context, u store.Upload) error { return o.db.EndUpload(ctx, u) }

func (o *office) UploadHasFile(ctx context.Context, target, name, sum string) (bool, error) {
	return o.db.UploadHasFile(ctx, target, name, sum)
}

func openOffice(t *testing.T) *office {
	t.Helper()
	db, disk := storetest.Open(t), openDisk(t)
	o := &office{db: db, post: dputtest.SSHD(t)}
	targets, err := server.ParseTargets(o.post.Target.String())
	if err != nil {
		t.Fatal(err)
	}
	o.Uploads = &server.Uploads{Records: o, Files: disk, Sender: o.post.Sender, Targets: targets, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	o.user, o.workspace = inhabitants(t, db)
	return o
}

func openDisk(t *testing.T) *files.Disk {
	t.Helper()
	disk, err := files.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// tinyUpload makes the artifact of an upload of binaries, which dpkg has made.
func (o *office) tinyUpload(t *testing.T, extra string) int64 {
	t.Helper()
	dir := t.TempDir()
	script := `mkdir -p tree/debian p/DEBIAN; cd tree
printf 'Source: tiny\nMaintainer: A <a@example.org>\nSection: misc\nPriority: optional\n\nPackage: tiny\nArchitecture: all\nDescription: made by a test\n' >debian/control
printf 'tiny (1.0) unstable; urgency=medium\n\n  * x\n\n -- A <a@example.org>  Sun, 22 Nov 2026 12:00:00 +0000\n' >debian/changelog
printf '` + extra + `' >../p/extra; dpkg-gencontrol -ptiny -P../p; dpkg-deb --build --root-owner-group ../p ..; dpkg-genchanges -A >../tiny_1.0_all.changes`
	c := exec.Command("sh", "-ec", script)
	c.Dir = dir
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tiny_1.0_all.changes"))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := debian.ParseChanges(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(debusine.UploadData{Type: "dpkg", ChangesFields: changes.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	return o.artifact(t, data, dir, append(changes.Files, debian.File{Name: "tiny_1.0_all.changes"})...)
}

func (o *office) job(t *testing.T, upload int64, more map[string]any) store.ServerJob {
	t.Helper()
	data := map[string]any{"input": map[string]any{"upload": upload}, "target": o.post.Target.String(), "require_signature": false}
	for k, v := range more {
		data[k] = v
	}
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := json.Marshal(map[string]any{"input_upload_id": upload})
	if err != nil {
		t.Fatal(err)
	}
	return store.ServerJob{ID: o.workRequest(t), Workspace: o.workspace, User: o.user, TaskName: "packageupload", Data: raw, Dynamic: dynamic}
}

func (o *office) do(t *testing.T, job store.ServerJob) (debusine.Result, debusine.OutputData) {
	t.Helper()
	result, output, err := o.Do(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return result, output
}

// empty is what a queue's daemon does.
func (o *office) empty(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(o.post.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if err := os.Remove(filepath.Join(o.post.Dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestAnUploadGoesToATargetOnce(t *testing.T) {
	o := openOffice(t)
	upload := o.tinyUpload(t, "")
	job := o.job(t, upload, nil)
	if result, output := o.do(t, job); result != debusine.Success || len(o.empty(t)) != 2 {
		t.Fatalf("%s, %+v", result, output)
	}
	if result, _ := o.do(t, job); result != debusine.Success || len(o.empty(t)) != 0 {
		t.Errorf("cut off before it could say so, it ends as %s", result)
	}
	if result, output := o.do(t, o.job(t, upload, nil)); result != debusine.Skipped || !strings.Contains(output.SkipReason, "force") || len(o.empty(t)) != 0 {
		t.Errorf("another work request: %s, %+v", result, output)
	}
	if result, _ := o.do(t, o.job(t, o.tinyUpload(t, "other"), nil)); result != debusine.Success || len(o.empty(t)) != 2 {
		t.Errorf("other content of that name: %s", result)
	}
	if result, _ := o.do(t, o.job(t, upload, map[string]any{"force": true})); result != debusine.Success || len(o.empty(t)) != 2 {
		t.Errorf("by force: %s", result)
	}
}

func TestTwoThatUploadTheSameAtOnceUploadItOnce(t *testing.T) {
	o := openOffice(t)
	upload := o.tinyUpload(t, "")
	results := make([]debusine.Result, 3)
	var all sync.WaitGroup
	for i := range results {
		job := o.job(t, upload, nil)
		all.Go(func() { results[i], _, _ = o.Do(t.Context(), job) })
	}
	all.Wait()
	sent := 0
	for _, r := range results {
		if r == debusine.Success {
			sent++
		} else if r != debusine.Skipped {
			t.Errorf("one ended as %q", r)
		}
	}
	if sent != 1 || len(o.empty(t)) != 2 {
		t.Errorf("results %v", results)
	}
}

// A server that is killed between what it notes and what it sends leaves either
// nothing or all in the queue; what comes after it sends once.
func TestWhatAServerLeftIsFinished(t *testing.T) {
	for name, c := range map[string]struct {
		arrived, taken bool
		note           string
	}{
		"the .changes was noted, not sent":     {false, false, ""},
		"the .changes arrived, and lies there": {true, false, "lay in the queue"},
		"the .changes arrived, and was taken":  {true, true, "it was taken"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			upload := o.tinyUpload(t, "")
			job := o.job(t, upload, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if !c.arrived {
				o.noted = cancel // as if the server had died with its note written
			}
			if _, _, err := o.Do(ctx, job); (err == nil) != c.arrived {
				t.Fatal(err)
			}
			o.noted = nil
			if c.arrived {
				o.forget(t) // as if it had died before it noted that the queue has it
			}
			if o.begun(t) == nil {
				t.Fatal("nothing was noted")
			}
			if c.taken {
				o.empty(t)
			}
			result, output := o.do(t, job)
			if result != debusine.Success || !strings.Contains(strings.Join(output.Notes, " "), c.note) {
				t.Errorf("%s, %+v", result, output)
			}
			if left := len(o.empty(t)); left != map[bool]int{true: 0, false: 2}[c.taken] {
				t.Errorf("%d files lie there", left)
			}
		})
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	o := openOffice(t)
	upload := o.tinyUpload(t, "")
	elsewhere := o.post.Target
	elsewhere.Path = filepath.Dir(elsewhere.Path)
	for name, c := range map[string]struct {
		more map[string]any
		want string
	}{
		"one that is not signed":            {map[string]any{"require_signature": true}, "is not signed"},
		"a target that is not permitted":    {map[string]any{"target": "sftp://elsewhere.example/queue"}, "may not upload to"},
		"a folder beside the one permitted": {map[string]any{"target": o.post.Target.String() + "x"}, "may not upload to"},
		"a folder above it":                 {map[string]any{"target": elsewhere.String()}, "may not upload to"},
		"another user of that server":       {map[string]any{"target": strings.Replace(o.post.Target.String(), "sftp://", "sftp://x", 1)}, "may not upload to"},
		"a queue without folders of days":   {map[string]any{"delayed_days": 3}, "not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := o.Do(t.Context(), o.job(t, upload, c.more)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a host whose key has changed since", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other")
		dputtest.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
		o.post.Know(t, other+".pub")
		if _, _, err := o.Do(t.Context(), o.job(t, upload, nil)); !errors.As(err, new(debusine.Forbidden)) || !strings.Contains(err.Error(), "has changed") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a host that is away is no refusal", func(t *testing.T) {
		o.Sender.Dial = func(context.Context, string, string) (c net.Conn, err error) { return nil, errors.New("no route") }
		if result, output := o.do(t, o.job(t, upload, nil)); result != debusine.TemporaryFailure || len(output.Errors) != 1 {
			t.Errorf("%s, %+v", result, output)
		}
	})
	if left := o.empty(t); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

func TestTargetsArePermittedByWorkspace(t *testing.T) {
	targets, err := server.ParseTargets("ftp://ftp.upload.debian.org/pub/UploadQueue, debusine/Security=sftp://sec@host/queue")
	if err != nil {
		t.Fatal(err)
	}
	for url, places := range map[string]string{
		"ftp://ftp.upload.debian.org/pub/UploadQueue/": "debusine/System debusine/Security",
		"sftp://sec@host/queue":                        "debusine/Security",
		"sftp://sec@host/queue/within":                 "debusine/Security",
		"sftp://sec@host/":                             "",
		"sftp://sec@host:2222/queue":                   "",
	} {
		for _, place := range []string{"debusine/System", "debusine/Security"} {
			if _, err := targets.Permit(place, url); (err == nil) != strings.Contains(places, place) {
				t.Errorf("%s to %s: %v", place, url, err)
			}
		}
	}
	for _, bad := range []string{"ftp://me:secret@host/q", "Security=sftp://host/queue", "https://host"} {
		if _, err := server.ParseTargets(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if none, err := server.ParseTargets(""); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}
