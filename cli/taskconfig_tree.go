package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"debusine"
	"debusine/api"
	"debusine/taskconfig"
)

// configTree is a folder with the files of a task configuration.
type configTree struct {
	root     string
	manifest manifest
	files    []configFile // by path
	git      bool
}

// manifest is the file MANIFEST of a tree, as Debusine's own client writes it.
type manifest struct {
	Workspace  string                          `json:"workspace"`
	Collection api.TaskConfigurationCollection `json:"collection"`
}

// configFile is a file of entries; path is relative to the tree, with slashes.
type configFile struct {
	path    string
	entries []json.RawMessage // without path and position
}

const manifestName = "MANIFEST"

func openConfigTree(root string) (*configTree, error) {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, usage{what: root + " is no folder", hint: "make it first, best with git init"}
	}
	t := &configTree{root: root}
	if err := t.readManifest(); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, file)
		if err != nil || path == "." {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if path = filepath.ToSlash(path); !entry.Type().IsRegular() || !taskconfig.IsPath(path) {
			return nil
		}
		read, err := readConfigFile(file, path)
		t.files = append(t.files, read)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = t.run(context.Background(), "rev-parse", "--git-dir")
	t.git = err == nil
	return t, nil
}

func (t *configTree) readManifest() error {
	raw, err := os.ReadFile(filepath.Join(t.root, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	values, err := object(raw, manifestName)
	if err == nil {
		raw, err = json.Marshal(values)
	}
	if err == nil {
		err = json.Unmarshal(raw, &t.manifest)
	}
	if err != nil {
		return usage{what: fmt.Sprintf("%s cannot be read: %v", manifestName, err), hint: "debusine task-config pull writes it"}
	}
	return nil
}

// readConfigFile reads one entry, or a list of them.
func readConfigFile(file, path string) (c configFile, err error) {
	c.path = path
	info, err := os.Stat(file)
	if err != nil {
		return c, err
	}
	if info.Size() > maxData {
		return c, usage{what: fmt.Sprintf("%s is larger than %s", path, bytesOf(maxData))}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		return c, usage{what: fmt.Sprintf("%s is no YAML: %v", path, err)}
	}
	list, many := value.([]any)
	if !many && value != nil {
		list = []any{value}
	}
	for i, one := range list {
		raw, err := json.Marshal(one)
		if err != nil {
			return c, usage{what: fmt.Sprintf("%s, entry %d: %v", path, i+1, err)}
		}
		e, err := taskconfig.Parse(raw)
		if err != nil {
			return c, fmt.Errorf("%s, entry %d: %w", path, i+1, err)
		}
		if raw, err = json.Marshal(withoutPlace(e)); err != nil {
			return c, err
		}
		c.entries = append(c.entries, raw)
	}
	return c, nil
}

func withoutPlace(e taskconfig.Entry) taskconfig.Entry {
	e.Path, e.Position = "", 0
	return e
}

// entries are all of the tree, with the file and position of each.
func (t *configTree) entries() (all []json.RawMessage, err error) {
	var list []taskconfig.Entry
	for _, f := range t.files {
		for i, raw := range f.entries {
			e, err := taskconfig.Parse(raw)
			if err != nil {
				return nil, err
			}
			e.Path, e.Position = f.path, i
			if raw, err = json.Marshal(e); err != nil {
				return nil, err
			}
			all, list = append(all, raw), append(list, e)
		}
	}
	if all == nil {
		all = []json.RawMessage{}
	}
	return all, taskconfig.CheckAll(list)
}

// pull makes the files those of the server's entries. A file whose entries are the
// server's stays as it is, comments and all; entries that were only moved to another
// file stay there. What the server does not have is removed from a git work tree,
// and kept elsewhere.
func (t *configTree) pull(ctx context.Context, items []json.RawMessage, dryRun, force bool) (n api.TaskConfigurationCounts, kept []string, err error) {
	want, err := byFile(items)
	if err != nil {
		return n, nil, err
	}
	local := map[string]int{} // entries that are here, by content
	here := map[string]configFile{}
	for _, f := range t.files {
		here[f.path] = f
		for _, e := range f.entries {
			local[string(e)]++
		}
	}
	write := map[string][]json.RawMessage{}
	for _, f := range want {
		if same(f.entries, here[f.path].entries) || moved(f.entries, local) {
			n.Unchanged += len(f.entries)
			continue
		}
		before := len(here[f.path].entries)
		n.Updated += min(before, len(f.entries))
		n.Added += max(0, len(f.entries)-before)
		n.Removed += max(0, before-len(f.entries))
		write[f.path] = f.entries
	}
	remove := t.foreign(want, items)
	if !t.git && !force {
		kept, remove = remove, nil
	}
	for _, path := range remove {
		n.Removed += len(here[path].entries)
	}
	if dryRun {
		return n, kept, nil
	}
	return n, kept, t.store(write, remove)
}

// byFile sorts the server's entries into files; those without a file get one below
// new/.
func byFile(items []json.RawMessage) ([]configFile, error) {
	var entries []taskconfig.Entry
	for _, raw := range items {
		e, err := taskconfig.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("the server's answer: %w", err)
		}
		if e.Path == "" {
			e.Path = "new/" + fileName(e.Name()) + ".yaml"
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b taskconfig.Entry) int {
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return a.Position - b.Position
	})
	var files []configFile
	for _, e := range entries {
		raw, err := json.Marshal(withoutPlace(e))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 || files[len(files)-1].path != e.Path {
			files = append(files, configFile{path: e.Path})
		}
		f := &files[len(files)-1]
		f.entries = append(f.entries, raw)
	}
	return files, nil
}

// fileName keeps what is harmless of an item's name.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+", r) {
			return r
		}
		return '_'
	}, name)
	return strings.Trim(name[:min(len(name), 150)], "_")
}

func same(a, b []json.RawMessage) bool {
	return slices.EqualFunc(a, b, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

func moved(entries []json.RawMessage, local map[string]int) bool {
	return !slices.ContainsFunc(entries, func(e json.RawMessage) bool { return local[string(e)] == 0 })
}

// foreign are files of which the server has no entry.
func (t *configTree) foreign(want []configFile, items []json.RawMessage) (paths []string) {
	there := map[string]bool{}
	for _, f := range want {
		for _, e := range f.entries {
			there[string(e)] = true
		}
	}
	for _, f := range t.files {
		listed := slices.ContainsFunc(want, func(w configFile) bool { return w.path == f.path })
		if !listed && len(f.entries) > 0 && !slices.ContainsFunc(f.entries, func(e json.RawMessage) bool { return there[string(e)] }) {
			paths = append(paths, f.path)
		}
	}
	return paths
}

// store writes and removes below the tree; symbolic links that lead out of it are
// not followed.
func (t *configTree) store(write map[string][]json.RawMessage, remove []string) error {
	root, err := os.OpenRoot(t.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for path, entries := range write {
		raw, err := yamlOf(append(append([]byte("["), bytes.Join(bytesOfAll(entries), []byte(","))...), ']'))
		if err != nil {
			return err
		}
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(path)), 0o777); err != nil {
			return err
		}
		if err := root.WriteFile(filepath.FromSlash(path), raw, 0o666); err != nil {
			return err
		}
	}
	for _, path := range remove {
		if err := root.Remove(filepath.FromSlash(path)); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(t.manifest)
	if err == nil {
		raw, err = yamlOf(raw)
	}
	if err != nil {
		return err
	}
	return root.WriteFile(manifestName, raw, 0o666)
}

func bytesOfAll(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, raw := range list {
		out[i] = raw
	}
	return out
}

// run asks git about the tree.
func (t *configTree) run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", t.root}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// clean refuses a git work tree with files of entries that are not committed.
func (t *configTree) clean(ctx context.Context) error {
	if !t.git {
		return nil
	}
	changed, err := t.run(ctx, "status", "--porcelain", "--untracked-files=all", "--", "*.yaml", "*.yml")
	if err != nil {
		return fmt.Errorf("asking git about %s: %w", t.root, err)
	}
	if changed != "" {
		return debusine.WithHint(debusine.Conflictf("%s has changes that are not committed: %s", t.root, strings.Join(strings.Split(changed, "\n"), ", ")),
			"commit them, or use --force")
	}
	return nil
}

// descends refuses a tree that does not know the commit that was pushed last.
func (t *configTree) descends(ctx context.Context, pushed string) error {
	if pushed == "" {
		return nil
	}
	if strings.Trim(pushed, "0123456789abcdef") != "" {
		return debusine.Invalidf("the server says that it was pushed from commit %.80q, which is none", pushed)
	}
	if !t.git {
		return debusine.WithHint(debusine.Conflictf("the server's configuration was pushed from git commit %s, and %s is no git work tree", pushed, t.root), "use the work tree, or --force")
	}
	if _, err := t.run(ctx, "merge-base", "--is-ancestor", pushed, "HEAD"); err != nil {
		return debusine.WithHint(debusine.Conflictf("the server's configuration was pushed from git commit %s, which %s does not know or has not merged", pushed, t.root),
			"git pull first, or use --force")
	}
	return nil
}

// commit is what the collection remembers of the tree.
func (t *configTree) commit(ctx context.Context) (map[string]string, error) {
	data := map[string]string{}
	if !t.git {
		return data, nil
	}
	head, err := t.run(ctx, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return nil, usage{what: t.root + " has no commit yet", hint: "git add, git commit"}
	}
	data["git_commit"] = head
	return data, nil
}
