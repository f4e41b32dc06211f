package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/debian"
	"debusine/store"
	"debusine/task"
)

func workerCommand() *cli.Command {
	return &cli.Command{Name: "worker", Usage: "build machines", Subcommands: []*cli.Command{
		verb("create", "NAME", "make a worker and print its token, for its --token-file", 1, createWorker,
			&cli.BoolFlag{Name: "enable", Usage: "it may take work at once"},
			&cli.BoolFlag{Name: "signing", Usage: "it is a signing worker, for debusine signing: it builds nothing"},
			&cli.StringFlag{Name: "arch", Usage: "an administrator vouches that it builds for `ARCH`"},
			&cli.IntFlag{Name: "concurrency", Value: 1, Usage: "it takes `N` work requests at once, whatever its own --concurrency says"}),
		verb("list", "", "list workers", 0, listWorkers),
		verb("enable", "NAME", "let a worker take work", 1, enableWorker(true)),
		verb("disable", "NAME", "take its rights away from a worker, at once: what it has is given to others", 1, enableWorker(false)),
		verb("manage", "NAME", "change how much a worker takes at once", 1, manageWorker,
			&cli.IntFlag{Name: "concurrency", Usage: "`N` work requests, whatever its own --concurrency says; it follows when what it has is done"}),
		verb("drain", "NAME", "give it nothing new, and let it finish what it has; --drain=false ends that", 1, func(c *cli.Context, db *store.DB) error {
			w, err := namedWorker(c.Context, db, c)
			if err != nil {
				return err
			}
			drain, words := !c.IsSet("drain") || c.Bool("drain"), "takes work again"
			if drain {
				words = "drains: it gets nothing new"
			}
			return done(c, db.ChangeWorker(c.Context, w.ID, store.WorkerChange{Draining: &drain}), "%s %s", w.Name, words)
		}, &cli.BoolFlag{Name: "drain"}),
		verb("edit-metadata", "NAME", "show or change what administrators say of a worker: provided_tags, required_tags, tasks_allowlist, tasks_denylist", 1, editMetadata,
			&cli.StringFlag{Name: "file", Usage: "take all of it from the YAML `FILE`"},
			&cli.StringSliceFlag{Name: "set", Usage: "`KEY=VALUE`, with commas between several tags or tasks; no value takes the key away"}),
	}}
}

func createWorker(c *cli.Context, db *store.DB) error {
	if arch := c.String("arch"); arch != "" {
		if a, err := debian.ParseArch(arch); err != nil || a == "all" || a == "source" {
			return debusine.WithHint(debusine.Invalidf("architecture %.80q is unknown", arch), "see dpkg-architecture -L")
		}
	}
	secret := debusine.NewSecret()
	w, err := db.Register(c.Context, store.Registration{Secret: secret, Name: c.Args().First(), Exact: true, Enabled: c.Bool("enable"), Concurrency: c.Int("concurrency"), Signing: c.Bool("signing")})
	if err != nil {
		return err
	}
	if arch := c.String("arch"); arch != "" {
		if err := setStatic(c, db, w, map[string]any{task.ProvidedTags: []any{"worker:build-arch:" + arch}}); err != nil {
			return err
		}
	}
	fmt.Fprintln(c.App.Writer, secret)
	return nil
}

func listWorkers(c *cli.Context, db *store.DB) error {
	workers, err := db.Workers(c.Context)
	if err != nil {
		return err
	}
	return table(c, "NAME ENABLED HEARD RUNNING TAGS", func(add func(...any)) {
		for _, w := range workers {
			heard := "never"
			if w.HeardAt != nil {
				heard = time.Since(*w.HeardAt).Round(time.Second).String() + " ago"
			}
			add(w.Name, w.Enabled, heard, w.Busy, strings.Join(w.TagsProvided, " "))
		}
	})
}

func enableWorker(enabled bool) func(*cli.Context, *store.DB) error {
	return func(c *cli.Context, db *store.DB) error {
		w, err := namedWorker(c.Context, db, c)
		if err != nil {
			return err
		}
		words := "is enabled"
		if !enabled {
			words = "is disabled"
		}
		return done(c, db.ChangeWorker(c.Context, w.ID, store.WorkerChange{Enabled: &enabled}), "%s %s", w.Name, words)
	}
}

func manageWorker(c *cli.Context, db *store.DB) error {
	w, err := namedWorker(c.Context, db, c)
	if err != nil {
		return err
	}
	if !c.IsSet("concurrency") {
		return cli.Exit("what is to change?\nhint: --concurrency N", 2)
	}
	n := c.Int("concurrency")
	return done(c, db.ChangeWorker(c.Context, w.ID, store.WorkerChange{Concurrency: &n}), "%s takes %d work requests at once", w.Name, n)
}

func editMetadata(c *cli.Context, db *store.DB) error {
	w, err := namedWorker(c.Context, db, c)
	if err != nil {
		return err
	}
	static := maps.Clone(w.Static)
	if static == nil {
		static = map[string]any{}
	}
	if name := c.String("file"); name != "" {
		if static, err = readMetadata(name); err != nil {
			return err
		}
	}
	if err := applySets(static, c.StringSlice("set")); err != nil {
		return err
	}
	if c.IsSet("file") || c.IsSet("set") {
		return done(c, setStatic(c, db, w, static), "changed what is said of %s", w.Name)
	}
	out, err := asYAML(static)
	fmt.Fprint(c.App.Writer, out)
	return err
}

// applySets changes keys. A word without "=" after a comma belongs to the key
// before it; whether the flag has split values at their commas already depends on
// the program that it belongs to. Tags are lists, the rest words.
func applySets(static map[string]any, words []string) error {
	if len(words) == 0 {
		return nil
	}
	key := ""
	for _, word := range strings.Split(strings.Join(words, ","), ",") {
		k, value, starts := strings.Cut(word, "=")
		if !starts && key == "" {
			return cli.Exit(fmt.Sprintf("--set %s has no =\nhint: --set provided_tags=worker:class:big", word), 2)
		}
		tags, more := static[key].([]any)
		switch {
		case !starts && more:
			static[key] = append(tags, word)
		case !starts:
			static[key] = fmt.Sprint(static[key], ",", word)
		case value == "":
			delete(static, k)
		case slices.Contains(listKeys(), k):
			static[k] = []any{value}
		default:
			static[k] = value
		}
		if starts {
			key = k
		}
	}
	return nil
}

// listKeys are the keys of static metadata that hold lists.
func listKeys() []string {
	return []string{task.ProvidedTags, task.RequiredTags, task.TasksAllowlist, task.TasksDenylist}
}

// setStatic refuses what would come to nothing or to something else than was
// meant, and says what is still missing.
func setStatic(c *cli.Context, db *store.DB, w debusine.Worker, static map[string]any) error {
	if err := checkStatic(static); err != nil {
		return err
	}
	w, _, err := db.SetStaticMetadata(c.Context, w.ID, static)
	if err != nil {
		return err
	}
	gates, err := db.Gates(c.Context)
	for _, tag := range w.TagsRequired {
		if err == nil && !slices.Contains(gates, tag) {
			fmt.Fprintf(c.App.ErrWriter, "%s is no gate yet, so %s gets nothing\nhint: debusine admin gate add %s\n", tag, w.Name, tag)
		}
	}
	return err
}

func checkStatic(static map[string]any) error {
	for _, key := range listKeys() {
		list, isList := static[key].([]any)
		if _, given := static[key]; given && (!isList || slices.ContainsFunc(list, func(item any) bool { _, text := item.(string); return !text })) {
			return debusine.WithHint(debusine.Invalidf("%s is not a list of words", key), fmt.Sprintf("%s: [WORD, …] in a file, or --set %s=WORD,WORD", key, key))
		}
	}
	if _, _, ignored := task.WorkerTags(nil, static); len(ignored) > 0 {
		return debusine.WithHint(debusine.Invalidf("not tags that an administrator may say of a worker: %s", strings.Join(ignored, ", ")),
			"provided: worker:class:…, worker:build-arch:…; required: task:workspace:SCOPE:NAME …")
	}
	for _, key := range []string{task.TasksAllowlist, task.TasksDenylist} {
		for _, name := range task.TaskNames(static[key]) {
			if _, err := task.WorkerTask(name); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}
