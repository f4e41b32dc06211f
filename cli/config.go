package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"debusine"
)

// serverConfig is one [server:NAME] of the configuration.
type serverConfig struct {
	name, apiURL, scope, token string
}

// ini holds sections of keys, as Python's configparser reads them: names of
// keys in lower case, values as they are, lines that begin with a space go on.
type ini map[string]map[string]string

func parseINI(r io.Reader) (ini, error) {
	var (
		parsed       = ini{}
		section, key string
		scanner      = bufio.NewScanner(r)
	)
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case line[0] == '[':
			end := strings.IndexByte(text, ']')
			if end < 0 {
				return nil, fmt.Errorf("line %d: the section has no ]", n)
			}
			section, key = text[1:end], ""
			if parsed[section] == nil {
				parsed[section] = map[string]string{}
			}
		case section == "":
			return nil, fmt.Errorf("line %d: there is no [section] before it", n)
		case (line[0] == ' ' || line[0] == '\t') && key != "":
			parsed[section][key] += "\n" + text
		default:
			i := strings.IndexAny(text, "=:")
			if i <= 0 {
				return nil, fmt.Errorf("line %d: neither [section] nor key = value", n)
			}
			key = strings.ToLower(strings.TrimSpace(text[:i]))
			parsed[section][key] = strings.TrimSpace(text[i+1:])
		}
	}
	return parsed, scanner.Err()
}

// configPath is the file to read when none is named.
func configPath() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, _ := os.UserHomeDir()
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "debusine", "client", "config.ini")
}

const sampleConfig = `it has the form of Debusine's own:
  [General]
  default-server = example
  [server:example]
  api-url = https://debusine.example.org/api
  scope = debian
  token = SECRET`

// readConfig finds the server to speak to. An empty path is the usual one, an
// empty server the default one.
func readConfig(path, server string) (serverConfig, error) {
	if path == "" {
		path = configPath()
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return serverConfig{}, debusine.Invalid{What: "there is no configuration " + path, Hint: missingConfigHint()}
	}
	if err != nil {
		return serverConfig{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer file.Close()
	parsed, err := parseINI(file)
	if err != nil {
		return serverConfig{}, debusine.Invalid{What: fmt.Sprintf("the configuration %s cannot be read: %v", path, err), Hint: sampleConfig}
	}
	return parsed.server(path, server)
}

// missingConfigHint names the configuration of a stack in this very folder,
// but does not read it: a token in some folder is not ours to use.
func missingConfigHint() string {
	const near = ".state/client/config.ini"
	if _, err := os.Stat(near); err == nil {
		return "for the stack of this checkout: export DEBUSINE_CONFIG_FILE=" + near
	}
	return "name another with --config-file; " + sampleConfig
}

func (i ini) server(path, want string) (s serverConfig, err error) {
	var names []string
	for _, section := range slices.Sorted(maps.Keys(i)) {
		if name, found := strings.CutPrefix(section, "server:"); found {
			names = append(names, name)
		}
	}
	if want == "" {
		want = i["General"]["default-server"]
	}
	if want == "" && len(names) == 1 {
		want = names[0]
	}
	if want == "" {
		return s, debusine.Invalid{What: "the configuration " + path + " names no default server",
			Hint: "set default-server in [General], or use --server with one of: " + strings.Join(names, ", ")}
	}
	for _, name := range names {
		if keys := i["server:"+name]; name == want || hostAndScope(keys) == want {
			return check(path, serverConfig{name: name, apiURL: keys["api-url"], scope: keys["scope"], token: keys["token"]})
		}
	}
	return s, debusine.Invalid{What: fmt.Sprintf("the configuration %s has no server %q", path, want),
		Hint: "it has: " + strings.Join(names, ", ")}
}

func check(path string, s serverConfig) (serverConfig, error) {
	for key, value := range map[string]string{"api-url": s.apiURL, "scope": s.scope} {
		if value == "" {
			return s, debusine.Invalid{What: fmt.Sprintf("the configuration %s has no %s for the server %q", path, key, s.name), Hint: sampleConfig}
		}
	}
	return s, nil
}

func hostAndScope(keys map[string]string) string {
	u, err := url.Parse(keys["api-url"])
	if err != nil {
		return ""
	}
	return u.Hostname() + "/" + keys["scope"]
}
