package workeract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine/api"
	"debusine/debian"
)

// library is a server whose files say where they come from.
type library struct {
	Server
	artifacts map[int64]api.Artifact
	fails     string // the name of a file that does not come
}

func (l *library) Artifact(_ context.Context, id int64) (api.Artifact, error) {
	return l.artifacts[id], nil
}

func (l *library) Download(_ context.Context, id int64, name string, to *os.File) error {
	if name == l.fails {
		return errors.New("the line is cut")
	}
	_, err := fmt.Fprintf(to, "%d %s", id, name)
	return err
}

func files(id int64, names ...string) api.Artifact {
	a := api.Artifact{ID: id, Files: map[string]api.File{}}
	for _, name := range names {
		a.Files[name] = api.File{}
	}
	return a
}

func TestFetchAll(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		fails string
		want  func(string) bool
		got   int
		err   string
	}{
		{"all files", []string{"a.dsc", "a.tar.xz"}, "", nil, 2, ""},
		{"only those that are wanted", []string{"a.dsc", "a.deb", "../../b.dsc"}, "", func(n string) bool { return n == "a.deb" }, 1, ""},
		{"a name that leads outside", []string{"../../a.dsc"}, "", nil, 0, "../../a.dsc"},
		{"a name in a folder", []string{"sub/a.dsc"}, "", nil, 0, "sub/a.dsc"},
		{"a file that does not come", []string{"a.dsc", "b.dsc", "c.dsc"}, "b.dsc", nil, 0, "fetching b.dsc of artifact 5: the line is cut"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			a.server = &library{fails: test.fails}
			dir := filepath.Join(a.folder.Path, "source")
			paths, err := a.fetchAll(t.Context(), files(5, test.files...), dir, test.want)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || len(paths) != test.got {
				t.Fatalf("got %v, %v", paths, err)
			}
			for _, path := range paths {
				if text, err := os.ReadFile(path); err != nil || string(text) != "5 "+filepath.Base(path) {
					t.Errorf("%s: %q, %v", path, text, err)
				}
			}
		})
	}
}

func TestExtraPackagesOfTheSameNameDoNotMeet(t *testing.T) {
	a, _ := newAttempt(t)
	a.server = &library{artifacts: map[int64]api.Artifact{
		3: files(3, "x_1_amd64.deb"), 4: files(4, "x_1_amd64.deb", "x_1_amd64.changes", "x_1_amd64.buildinfo")}}
	s := &sbuild{}
	if err := s.fetchExtra(t.Context(), a, []int64{3, 4}); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(a.folder.Path, "extra/3/x_1_amd64.deb"), filepath.Join(a.folder.Path, "extra/4/x_1_amd64.deb")}
	if !slices.Equal(s.extra, want) {
		t.Errorf("got %q", s.extra)
	}
}

func TestWhichPackagesBelongToABuild(t *testing.T) {
	tests := []struct {
		name, arch string
		want       bool
	}{
		{"hello_2.10-3_amd64.deb", "amd64", true},
		{"hello-doc_2.10-3_all.deb", "amd64", true},
		{"hello-udeb_2.10-3_amd64.udeb", "amd64", true},
		{"hello_2.10-3_amd64.deb", "i386", false},
		{"hello_2.10-3_amd64.buildinfo", "amd64", false},
		{"hello_2.10-3_kfreebsd-amd64.deb", "amd64", false},
		{"amd64.deb", "amd64", false},
	}
	for _, test := range tests {
		if got := isPackageOf(test.name, test.arch); got != test.want {
			t.Errorf("%s for %s: %t", test.name, test.arch, got)
		}
	}
}

// recorder is a server that takes relations; every artifact gets a number.
type recorder struct {
	keeper
	relations []string
	refuse    string
}

func (r *recorder) CreateArtifact(ctx context.Context, category string, data any, files map[string]string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if category == r.refuse {
		return 0, errors.New("the server is full")
	}
	return r.keeper.CreateArtifact(ctx, category, data, files)
}

func (r *recorder) Relate(_ context.Context, from, to int64, kind string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relations = append(r.relations, fmt.Sprintf("%d %s %d", from, kind, to))
	return nil
}

func TestRealPackageIsReadAndUploaded(t *testing.T) {
	a, build := newAttempt(t)
	server := &recorder{}
	a.server = server
	name := makeDeb(t, a, build)
	content, err := os.ReadFile(filepath.Join(build, name))
	if err != nil {
		t.Fatal(err)
	}
	leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{name: string(content)}, nil))
	s := &sbuild{buildFiles: build, name: "hello", version: "1.0-1", wanted: "1.0-1"}
	s.data = sbuildFor("amd64")
	s.source.ID = 77
	if err := s.uploadBuilt(t.Context(), a, func() (int64, error) { return 66, nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(server.made, []string{"debian:binary-package", "debian:upload"}) {
		t.Errorf("made %q", server.made)
	}
	slices.Sort(server.relations)
	want := []string{"1 built-using 77", "2 extends 1", "2 relates-to 1", "66 relates-to 1", "66 relates-to 2"}
	if !slices.Equal(server.relations, want) {
		t.Errorf("relations %q", server.relations)
	}
}

func TestUploadThatIsRefusedIsTheMachinesError(t *testing.T) {
	a, build := newAttempt(t)
	a.server = &recorder{refuse: "debian:upload"}
	name := makeDeb(t, a, build)
	content, err := os.ReadFile(filepath.Join(build, name))
	if err != nil {
		t.Fatal(err)
	}
	leave(t, a, filepath.Join(build, "hello.changes"), changesFor(map[string]string{name: string(content)}, nil))
	s := &sbuild{buildFiles: build, name: "hello", version: "1.0-1", wanted: "1.0-1", data: sbuildFor("amd64")}
	err = s.uploadBuilt(t.Context(), a, func() (int64, error) { return 66, nil })
	if err == nil || isUnusable(err) || !strings.Contains(err.Error(), "uploading hello.changes: the server is full") {
		t.Errorf("got %v", err)
	}
}

func TestControlPartIsReadFromEachCompression(t *testing.T) {
	for _, compression := range []string{"xz", "gzip", "zstd", "none"} {
		t.Run(compression, func(t *testing.T) {
			a, build := newAttempt(t)
			name := makeDeb(t, a, build, "-Z"+compression)
			b := &built{dir: build, debs: []string{name}}
			debs, err := a.readDebs(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			deb := debs[name]
			if deb.Package != "hello" || deb.Version.String() != "1.0-1" || deb.Architecture != debian.Arch("amd64") || deb.ControlFiles[0] != "control" {
				t.Errorf("got %+v", deb)
			}
		})
	}
}
