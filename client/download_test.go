package client_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/client"
)

// target opens a file that may hold something already.
func target(t *testing.T, content string) *os.File {
	t.Helper()
	to, err := os.OpenFile(filepath.Join(t.TempDir(), "to"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	if _, err := to.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestDownload(t *testing.T) {
	content := []byte("all of the content of the file")
	for _, test := range []struct {
		name     string
		serves   string // what the server has, where it is not the content
		there    string // what an earlier download left
		cut      []int64
		ranges   []string // of the requests
		wrong    bool     // it ends with Corrupt
		endsWith string
	}{
		{name: "a file comes in one go", ranges: []string{""}},
		{name: "a connection that is cut is taken up", cut: []int64{4, 6}, ranges: []string{"", "bytes=4-", "bytes=10-"}},
		{name: "what is on disk is not fetched again", there: "all of ", ranges: []string{"bytes=7-"}},
		{name: "a whole file on disk is only verified", there: string(content)},
		{name: "another beginning on disk is fetched anew", there: "ALL of ", ranges: []string{"bytes=7-", ""}},
		{name: "a longer file on disk is fetched anew", there: string(content) + "and more", ranges: []string{""}},
		{name: "other content is refused", serves: "ALL of the content of the file", ranges: []string{""}, wrong: true},
		{name: "more content than announced is refused", serves: string(content) + "more", ranges: []string{""}, endsWith: "the server sends more than the 30 bytes of a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.have["a"] = content
			if test.serves != "" {
				f.have["a"] = []byte(test.serves)
			}
			f.cutAfter = test.cut
			to := target(t, test.there)
			a := api.Artifact{ID: 1, Files: map[string]api.File{"a": fileOf(content)}}
			err := f.client(5*time.Second).Download(t.Context(), a, "a", to, nil)
			var ranges []string
			for _, h := range f.headers {
				ranges = append(ranges, h.Get("Range"))
			}
			if !slices.Equal(ranges, test.ranges) {
				t.Errorf("ranges %q, want %q", ranges, test.ranges)
			}
			switch {
			case test.wrong:
				if !errors.As(err, new(client.Corrupt)) {
					t.Errorf("error %v", err)
				}
				return
			case test.endsWith != "":
				if err == nil || !bytes.HasSuffix([]byte(err.Error()), []byte(test.endsWith)) {
					t.Errorf("error %v", err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(to.Name()); !bytes.Equal(got, content) {
				t.Errorf("on disk: %q", got)
			}
		})
	}
}

func TestDownloadOfAFileThatIsNotThere(t *testing.T) {
	err := newFake(t).client(0).Download(t.Context(), api.Artifact{ID: 1}, "a", target(t, ""), nil)
	var missing debusine.Missing
	if !errors.As(err, &missing) || missing.Hint == "" {
		t.Errorf("error %#v", err)
	}
}

func TestTheTarballIsFetchedFromTheServerThatWeKnow(t *testing.T) {
	f := newFake(t)
	f.answer("GET /api/1.0/artifact/1/", 200, "packed")
	a := api.Artifact{ID: 1, DownloadTarGzURL: "https://elsewhere.example.org/api/1.0/artifact/1/?archive=tar.gz"}
	var b bytes.Buffer
	if err := f.client(0).Tarball(t.Context(), a, &b, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if got := f.seen(); !slices.Equal(got, []string{"GET /api/1.0/artifact/1/?archive=tar.gz"}) || b.String() != "\"packed\"\n" {
		t.Errorf("requests %q, got %q", got, b.String())
	}
}
