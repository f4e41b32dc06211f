package executor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Proxy is the HTTP proxy that the machine's apt uses, for commands that fetch
// from the mirror. One on loopback cannot be reached by a job: reachable is
// then false.
func Proxy(ctx context.Context) (url string, reachable bool) {
	url = os.Getenv("http_proxy")
	if said, err := aptConfig(ctx, "Acquire::http::Proxy"); err == nil && said != "" && said != "DIRECT" {
		url = said
	}
	if url == "" {
		return "", true
	}
	for _, loopback := range []string{"//localhost", "//127.", "//[::1]"} {
		if strings.Contains(url, loopback) {
			return url, false
		}
	}
	return url, true
}

// aptConfig asks for one value of the machine's apt configuration.
func aptConfig(ctx context.Context, name string) (string, error) {
	said, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%v%n", name).Output()
	if err != nil {
		return "", fmt.Errorf("reading apt's configuration of %s: %w", name, err)
	}
	first, _, _ := strings.Cut(string(said), "\n")
	return first, nil
}
