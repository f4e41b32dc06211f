package workeract

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheDateOfARelease(t *testing.T) {
	tests := []struct{ name, release, want string }{
		{"as Debian writes it", "Origin: Debian\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n", "2026-07-11T10:16:37Z"},
		{"in another zone", "Date: Sat, 11 Jul 2026 12:16:37 +0200\n", "2026-07-11T10:16:37Z"},
		{"none", "Origin: Debian\n", ""},
		{"one that is none", "Date: yesterday\n", ""},
		{"before all time", "Date: Thu, 01 Jan 1960 00:00:00 UTC\n", ""},
		{"a web page", "<html>\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "InRelease")
			if err := os.WriteFile(path, []byte(test.release), 0o644); err != nil {
				t.Fatal(err)
			}
			got := dateOf(path)
			if test.want == "" && !got.IsZero() || test.want != "" && got.UTC().Format(time.RFC3339) != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "InRelease")
	if err := os.Symlink("/etc/shadow", link); err != nil {
		t.Fatal(err)
	}
	if got := dateOf(link); !got.IsZero() || !dateOf(link+"x").IsZero() {
		t.Errorf("a link has the date %v", got)
	}
}

func TestABootstrapIsAsOldAsItsNewestRepository(t *testing.T) {
	a, _ := newAttempt(t)
	a.proxy = map[string]string{"http_proxy": "http://proxy.example:3128"}
	day := func(n int) repository { return repository{date: time.Date(2026, 7, n, 0, 0, 0, 0, time.UTC)} }
	m := &mmdebstrap{repos: []repository{day(3), day(7), {}}}
	if env := m.environment(a); env["SOURCE_DATE_EPOCH"] != "1783382400" || env["http_proxy"] == "" {
		t.Errorf("got %v", env)
	}
	if len(a.proxy) != 1 {
		t.Errorf("other jobs get it too: %v", a.proxy)
	}
	a.proxy = nil
	if env := (&mmdebstrap{repos: []repository{{}}}).environment(a); len(env) != 0 {
		t.Errorf("without a date: %v", env)
	}
}
