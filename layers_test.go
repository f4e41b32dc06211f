package debusine_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers maps a top folder ("" is the root package) to the folders whose packages
// it may import. A folder that is not here is an error: it needs a place.
func layers() map[string][]string {
	row3 := []string{"debian", ""}
	toStore := []string{"debian", "api", "", "lookup", "task", "taskconfig", "forecast", "schema", "files", "sign", "executor", "dput", "archive", "client", "store"}
	return map[string][]string{
		"debian":     nil,
		"api":        nil,
		"crash":      nil, // the named points of crash tests; knows nothing, known by all
		"":           {"debian"},
		"lookup":     row3,
		"task":       row3,
		"taskconfig": append(slices.Clone(row3), "task"),
		"forecast":   nil, // pure functions of what others read
		"schema":     row3,
		"files":      row3,
		"sign":       append(slices.Clone(row3), "schema"), // the keys' own database
		"executor":   row3,
		"dput":       row3,
		"archive":    row3,
		"client":     {"api", "debian", ""},
		"store":      {"debian", "api", "", "lookup", "task", "taskconfig", "forecast", "schema", "files", "sign", "executor", "dput", "archive", "client"},
		"workflows":  {"debian", "", "lookup", "task"},
		"activities": toStore,
		"server":     append(slices.Clone(toStore), "workflows", "activities"),
		"worker":     append(slices.Clone(toStore), "workflows", "activities"),
		"cli":        append(slices.Clone(toStore), "workflows", "activities"),
		"stack":      append(slices.Clone(toStore), "workflows", "activities"),
		"cmd":        {"server", "worker", "cli", "stack", "sign", "debian", ""},
		"endtoend":   nil, // tests alone, of the whole program
		"bench":      append(slices.Clone(toStore), "workflows", "activities", "server", "worker", "cli", "stack"),
	}
}

// Imports are parsed, not asked of `go list`, whose answers are cached. Tests may
// look down and sideways: they are not part of what others import.
func TestImportsPointUpwards(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || isModule(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || isTestHelp(file) {
			return nil
		}
		seen++
		imports, err := importsOf(file)
		if err != nil {
			return err
		}
		for _, wrong := range wrongImports(file, imports) {
			t.Error(wrong)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Errorf("only %d source files were seen: does the test run in the root folder?", seen)
	}
}

func TestWrongImportsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		file, imported string
		wrong          bool
	}{
		"a row above is fine":                       {"store/db.go", "debusine/task", false},
		"the standard library is fine":              {"debian/version.go", "strings", false},
		"a folder's own parts are fine":             {"activities/server/plan.go", "debusine/activities/shared", false},
		"the nouns know no store":                   {"artifact.go", "debusine/store", true},
		"debian knows nothing of ours":              {"debian/version.go", "debusine", true},
		"debian knows no other's code":              {"debian/version.go", "gopkg.in/yaml.v3", true},
		"but for decompressors":                     {"debian/compression.go", "github.com/therootcompany/xz", false},
		"workflows know no store":                   {"workflows/sbuild.go", "debusine/store", true},
		"workflows and activities do not meet":      {"workflows/sbuild.go", "debusine/activities/worker", true},
		"the server does not know the stack":        {"server/routes.go", "debusine/stack", true},
		"helpers of tests stay out of the programs": {"server/routes.go", "debusine/store/storetest", true},
		"a new folder needs a place":                {"surprise/a.go", "strings", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wrongImports(c.file, []string{c.imported}); (len(got) > 0) != c.wrong {
				t.Errorf("%s importing %s: %v", c.file, c.imported, got)
			}
		})
	}
}

// wrongImports answers a sentence for each import that points the wrong way.
func wrongImports(file string, imports []string) []string {
	top := topFolder(path.Dir(filepath.ToSlash(file)))
	may, known := layers()[top]
	if !known {
		return []string{fmt.Sprintf("%s: the folder %s has no place in the layers; give it one in layers_test.go", file, top)}
	}
	var wrong []string
	for _, imported := range imports {
		inside, ours := strings.CutPrefix(imported+"/", "debusine/")
		switch {
		case !ours:
			first, _, _ := strings.Cut(imported, "/")
			if top == "debian" && strings.Contains(first, ".") && !slices.Contains(decompressors(), imported) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s; debian/ has the standard library and the decompressors of .debs alone", file, imported))
			}
			continue
		case isTestHelp(inside + "x.go"):
			wrong = append(wrong, fmt.Sprintf("%s imports %s, which is for tests", file, imported))
			continue
		}
		to := topFolder(strings.TrimSuffix(inside, "/"))
		if to != top && to != "crash" && !slices.Contains(may, to) {
			wrong = append(wrong, fmt.Sprintf("%s imports %s, which is not in a row above %q", file, imported, top))
		}
	}
	return wrong
}

// decompressors are what debian/ may import beyond the standard library.
func decompressors() []string {
	return []string{"github.com/klauspost/compress/zstd", "github.com/therootcompany/xz"}
}

func topFolder(dir string) string {
	if dir == "." {
		return ""
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// isTestHelp knows storetest/, filestest/, executortest/ and their like.
func isTestHelp(file string) bool {
	return strings.HasSuffix(path.Dir(filepath.ToSlash(file)), "test")
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func importsOf(file string) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("reading the imports of %s: %w", file, err)
		}
		imports = append(imports, name)
	}
	return imports, nil
}
