package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tools are the programs and configuration that are not in our own binary.
type tools struct {
	server, ui, sql string // Temporal's programs
	config          string // the folder temporal-config
}

// configMark tells the folder temporal-config from another of that name.
const configMark = "server.yaml.tmpl"

// findTools looks beside our binary (and in bin/ of the checkout that holds the
// binary or the working folder), then in PATH.
func findTools() (tools, error) {
	places := toolPlaces()
	var t tools
	for name, to := range map[string]*string{"temporal-server": &t.server, "temporal-ui": &t.ui, "temporal-sql-tool": &t.sql} {
		*to = findProgram(name, places)
		if *to == "" {
			return t, fmt.Errorf("the program %s is neither beside debusine nor in PATH; hint: make build", name)
		}
	}
	for _, place := range places {
		for _, config := range []string{"temporal-config", "../temporal-config", "../share/debusine/temporal-config"} {
			config = filepath.Join(place, config)
			if _, err := os.Stat(filepath.Join(config, configMark)); err == nil {
				t.config = config
				return t, nil
			}
		}
	}
	return t, fmt.Errorf("the folder temporal-config is not beside debusine (looked near %v); hint: run debusine from its checkout, or install the folder as share/debusine/temporal-config", places)
}

// toolPlaces lists the folders that may hold Temporal's programs, best first.
func toolPlaces() []string {
	var places []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		places = append(places, filepath.Dir(self))
	}
	if home, ok := checkout(); ok {
		places = append(places, filepath.Join(home, "bin"))
	}
	return places
}

func findProgram(name string, places []string) string {
	for _, place := range places {
		file := filepath.Join(place, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	file, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return file
}

// checkout finds the folder of the sources above our binary or above the working
// folder; where there is none, it answers the working folder and false.
func checkout() (string, bool) {
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	from := []string{here}
	if self, err := os.Executable(); err == nil {
		from = []string{filepath.Dir(self), here}
	}
	for _, dir := range from {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "temporal-config", configMark)); err == nil {
				return dir, true
			}
		}
	}
	return here, false
}
