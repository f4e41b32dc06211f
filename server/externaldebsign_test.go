package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/cli"
	"debusine/store"
	"debusine/task"
)

// signature is a work request that waits for mike's, and mike's machine: his
// packages, and his gpg.
type signature struct {
	*world
	dir, home, changes string
	id, unsigned       int64
}

const tinyPackage = `
mkdir -p tiny-1.0/debian/source
cd tiny-1.0
echo '3.0 (native)' >debian/source/format
printf 'tiny (1.0) unstable; urgency=low\n\n  * x\n\n -- A <a@example.org>  Sun, 22 Nov 2026 12:00:00 +0000\n' >debian/changelog
printf 'Source: tiny\nSection: misc\nPriority: optional\nMaintainer: A <a@example.org>\nStandards-Version: 4.6.2\n\nPackage: tiny\nArchitecture: all\nDescription: x\n' >debian/control
printf '#!/usr/bin/make -f\nclean:\n' >debian/rules
cd ..
dpkg-source -b tiny-1.0
cd tiny-1.0
dpkg-genbuildinfo --build=source -O../tiny_1.0_source.buildinfo
dpkg-genchanges -S >../tiny_1.0_source.changes
`

func newSignature(t *testing.T) *signature {
	t.Helper()
	s := &signature{world: newWorld(t), dir: t.TempDir(), home: t.TempDir(), changes: "tiny_1.0_source.changes"}
	s.sh(tinyPackage)
	s.sh("gpg --batch --quick-gen-key --passphrase '' 'Mike <mike@example.org>' default default never; gpg --export >mike.gpg; mkdir -p signers; cp mike.gpg signers/")
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", s.home, "--kill", "all").Run() })
	s.serve()
	out := s.cli("artifact", "import-debian", filepath.Join(s.dir, s.changes))
	var made struct{ ID int64 }
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.unsigned = made.ID
	s.id = s.wait("mike")
	return s
}

// serve has a server that knows whose keys lie in the folder signers.
func (s *signature) serve() {
	srv := New(s.db, s.disk, still{s.db}, Options{Version: "test", Signers: []string{filepath.Join(s.dir, "signers")}}, slog.New(slog.NewTextHandler(s.logged, nil)))
	web := httptest.NewUnstartedServer(nil)
	web.Config = srv.HTTPServer()
	web.Start()
	s.Cleanup(web.Close)
	s.url = web.URL
	s.ok(os.WriteFile(filepath.Join(s.dir, "config.ini"), []byte("[General]\ndefault-server = here\n\n[server:here]\napi-url = "+s.url+"/api\nscope = debusine\ntoken = "+s.maker+"\n"), 0o600))
}

func (s *signature) sh(script string) string {
	s.Helper()
	c := exec.Command("sh", "-ec", script)
	c.Dir, c.Env = s.dir, append(os.Environ(), "GNUPGHOME="+s.home)
	out, err := c.CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// wait is a work request of a user's that waits for a signature.
func (s *signature) wait(user string) int64 {
	s.Helper()
	var workspace, by int64
	s.ok(s.db.Pool().QueryRow(s.Context(), `SELECT (SELECT id FROM workspaces WHERE name = 'System'), id FROM users WHERE username = $1`, user).Scan(&workspace, &by))
	root, err := s.db.Create(s.Context(), store.New{WorkspaceID: workspace, CreatedBy: by, TaskType: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{}`)})
	s.ok(err)
	planned, err := s.db.Plan(s.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "sign", TaskName: "externaldebsign", Data: json.RawMessage(fmt.Sprintf(`{"unsigned": %d}`, s.unsigned))}}})
	s.ok(err)
	return planned.Children[0].ID
}

// cli runs the command line as mike and gives its standard output.
func (s *signature) cli(args ...string) []byte {
	s.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// program is the command line, in a process of its own: this test binary.
const program = "DEBUSINE_TEST_COMMAND_LINE"

func (s *signature) try(args ...string) ([]byte, error) {
	c := exec.Command(os.Args[0], append([]string{"--config-file", filepath.Join(s.dir, "config.ini"), "--json"}, args...)...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "GNUPGHOME="+s.home, program+"=1", "DEBUSINE_SIGN_DIRECTORY="+filepath.Join(s.dir, "desk"))
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%v: %s", err, said.String())
	}
	return out.Bytes(), nil
}

func runAsCommandLine() {
	if os.Getenv(program) != "" {
		os.Exit(cli.Run(os.Args))
	}
}

func (s *signature) status() api.WorkRequest {
	s.Helper()
	var w api.WorkRequest
	s.want(200, s.maker, "GET", fmt.Sprintf("work-request/%d/", s.id), nil, &w)
	return w
}

func TestAPersonSignsWithTheirOwnKey(t *testing.T) {
	s := newSignature(t)
	if w := s.status(); w.Status != "running" || w.WaitingReason != fmt.Sprintf("needs input: debusine work-request sign %d", s.id) {
		t.Errorf("it waits as %s: %s", w.Status, w.WaitingReason)
	}
	s.cli("work-request", "sign", fmt.Sprint(s.id))
	w := s.status()
	if w.Result != "success" || !strings.Contains(string(w.OutputData), "signed_by") || len(w.Artifacts) != 1 {
		t.Fatalf("%s, artifacts %v, output %s", w.Result, w.Artifacts, w.OutputData)
	}
	s.cli("artifact", "download", fmt.Sprint(w.Artifacts[0]), "--target-directory", "signed")
	for _, name := range []string{"tiny_1.0.dsc", "tiny_1.0_source.buildinfo", s.changes} {
		s.sh("gpgv --keyring ./mike.gpg signed/" + name)
	}
	if said := s.sh("dscverify --no-default-keyrings --keyring $PWD/mike.gpg signed/" + s.changes); !strings.Contains(said, "All files validated successfully") {
		t.Errorf("dscverify says %s", said)
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, "desk")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if said := s.cli("work-request", "provide-signature", fmt.Sprint(s.id)); !bytes.Contains(said, []byte("success")) {
		t.Errorf("said again: %s", said)
	}
}

func TestASignatureGoesOnWhereItStopped(t *testing.T) {
	s := newSignature(t)
	s.sh(`mkdir bin; printf '#!/bin/sh\ncase "$*" in *--clearsign*) echo x >>%s/asked; [ "$(wc -l <%s/asked)" != 2 ] || exit 1;; esac\nexec /usr/bin/gpg "$@"\n' "$PWD" "$PWD" >bin/gpg; chmod +x bin/gpg`)
	t.Setenv("PATH", filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	if _, err := s.try("work-request", "sign", fmt.Sprint(s.id)); err == nil {
		t.Fatal("it signed although gpg failed")
	}
	s.cli("work-request", "sign", fmt.Sprint(s.id))
	if asked := strings.Count(s.sh("cat asked"), "x"); asked != 4 {
		t.Errorf("gpg was asked %d times for 3 files, once in vain", asked)
	}
	if w := s.status(); w.Result != "success" {
		t.Errorf("%+v", w)
	}
}

// signedBy makes an upload that mike signed, changes it by a script before it is
// uploaded, and hands it in as somebody.
func (s *signature) handIn(token, script string) answer {
	s.Helper()
	s.sh(`rm -rf in; mkdir in; cp tiny_1.0* in/; cd in; debsign --re-sign -kmike@example.org ` + s.changes + ` >/dev/null; ` + script)
	var made struct{ ID int64 }
	out := s.cli("artifact", "import-debian", filepath.Join(s.dir, "in", s.changes))
	if err := json.Unmarshal(out, &made); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	return s.call(token, "POST", fmt.Sprintf("work-request/%d/external-debsign/", s.id), api.ExternalDebsign{SignedArtifact: made.ID})
}

func TestWhatIsHandedInIsVerified(t *testing.T) {
	s := newSignature(t)
	resign := func(how string) string {
		return how + `; debsign --re-sign -kmike@example.org ` + s.changes + ` >/dev/null`
	}
	for _, c := range []struct {
		name, token, script, want string
		status                    int
	}{
		{"not signed", s.maker, "cp ../tiny_1.0* .", "not signed", 400},
		{"a changed distribution, signed", s.maker, resign(`sed -i 's/^Distribution: .*/Distribution: stable/' ` + s.changes), "more than its signature", 400},
		{"a changed tarball, listed and signed", s.maker, resign(`echo x >>tiny_1.0.tar.xz; cd ..; rm -rf again; mkdir again; cp -r tiny-1.0 again/; cd again; echo y >tiny-1.0/new; dpkg-source -b tiny-1.0 >/dev/null; cp tiny_1.0.* ../in/; cd tiny-1.0; dpkg-genbuildinfo --build=source -O../../in/tiny_1.0_source.buildinfo; dpkg-genchanges -S -u../../in >../../in/` + s.changes + `; cd ../../in`), "tiny_1.0.tar.xz was changed", 400},
		{"somebody else's answer", s.owner, "true", "only who created the work request", 403},
		{"a key that is in no keyring", s.maker, `rm ../signers/mike.gpg`, "knows nobody", 409},
	} {
		if c.name == "a key that is in no keyring" {
			defer func() { _ = os.Remove(filepath.Join(s.dir, "signers", "mike.gpg")) }()
		}
		a := s.handIn(c.token, c.script)
		if a.status != c.status || !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if w := s.status(); w.Status != "running" {
			t.Fatalf("%s: it is %s:%s now", c.name, w.Status, w.Result)
		}
	}
	s.sh("gpg --batch --quick-gen-key --passphrase '' 'Other <other@example.org>' default default never; gpg --export other@example.org >signers/other.gpg")
	if a := s.handIn(s.maker, "true"); a.status != 400 || !strings.Contains(string(a.body), "not good by the keyring") {
		t.Errorf("by a key of nobody known: %d %s", a.status, a.body)
	}
	s.sh("cp mike.gpg signers/")
	if a := s.handIn(s.maker, "true"); a.status != 200 {
		t.Errorf("good: %d %s", a.status, a.body)
	}
	if a := s.handIn(s.maker, "true"); a.status != 409 {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
	if a := s.call(s.maker, "POST", fmt.Sprintf("work-request/%d/external-debsign/", s.id-1), api.ExternalDebsign{SignedArtifact: 1}); a.status != 400 {
		t.Errorf("a workflow is signed: %d %s", a.status, a.body)
	}
}
