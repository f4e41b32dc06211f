package executor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProxyOfTheMachine(t *testing.T) {
	tests := []struct {
		name, config, variable, url string
		reachable                   bool
	}{
		{"none", "", "", "", true},
		{"of apt", `Acquire::http::Proxy "http://proxy.example:3128";`, "", "http://proxy.example:3128", true},
		{"of the environment", "", "http://proxy.example:8080", "http://proxy.example:8080", true},
		{"apt's goes first", `Acquire::http::Proxy "http://a.example:1";`, "http://b.example:2", "http://a.example:1", true},
		{"on loopback, where a job cannot reach it", `Acquire::http::Proxy "http://127.0.0.1:3142";`, "", "http://127.0.0.1:3142", false},
		{"on loopback by name", `Acquire::http::Proxy "http://localhost:3142";`, "", "http://localhost:3142", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "apt.conf")
			if err := os.WriteFile(path, []byte("#clear Acquire::http::Proxy;\n"+test.config+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Setenv("APT_CONFIG", path)
			t.Setenv("http_proxy", test.variable)
			if url, reachable := Proxy(t.Context()); url != test.url || reachable != test.reachable {
				t.Errorf("got %q, %t", url, reachable)
			}
		})
	}
}
