package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"debusine/executor"
)

const (
	pairs       = 3
	built       = "hello"
	buildPace   = 50 * time.Millisecond
	buildWithin = 10 * time.Minute
)

// buildOverhead is what the platform adds to a build: POST → completed, less the
// time of sbuild itself. The bare sbuild is the very command line that the
// platform ran, on the same tarball, by the same user, in a namespace of the same
// kind; only the process counts there, so making the namespace is the platform's.
// The two take turns, and who goes first changes: the mirror's mood is shared.
func buildOverhead(ctx context.Context, h *house) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*(pairs+1)*buildWithin)
	defer cancel()
	m, err := h.joinWith(ctx, unpacking, "builder", 1)
	if err != nil {
		return nil, err
	}
	defer m.leave()
	b, err := h.prepareBuild(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("%w; the worker's last words: %s", err, m.said())
	}
	var added, alone []float64
	for pair := range pairs {
		with, without, err := b.pair(ctx, pair%2 == 0)
		if err != nil {
			return nil, err
		}
		fmt.Printf("  %s: %.2f s with the platform, %.2f s without; the worker: %s\n", built, with.Seconds(), without.Seconds(), phases(m.said()))
		added, alone = append(added, (with-without).Seconds()), append(alone, without.Seconds())
	}
	row := newRow("build-overhead", median(added), "s", atMost(1.5), 0)
	// A build is no baseline of what is added to it; it is told all the same.
	row.Baseline, row.Ratio = median(alone), median(added)/median(alone)
	return []Row{row}, nil
}

// unpacking has a worker keep no environment ready: it does what bare sbuild does.
var unpacking = []string{"--ready-size", "none"}

// phases is the worker's word on its newest job. On a machine that does other
// things too, sbuild's own time differs by more than the platform adds; setup and
// teardown tell them apart.
func phases(log string) string {
	_, after, _ := strings.Cut(log[max(0, strings.LastIndex(log, "phases of a job")):], "result=")
	line, _, _ := strings.Cut(after, "\n")
	return line
}

// builds are the two ways to build the same.
type builds struct {
	house       *house
	machine     *executor.Machine // for the bare one
	source      int64
	environment int64
	dsc         string
	argv        []string
	config      []byte // what SBUILD_CONFIG names
}

// prepareBuild fetches what is built and has the platform build it once, which
// fills its worker's cache and shows the command line.
func (h *house) prepareBuild(ctx context.Context, m *machine) (*builds, error) {
	b := &builds{house: h}
	url, suite, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	if b.dsc, err = fetchSource(ctx, filepath.Join(h.dir, "source"), url, suite, built); err != nil {
		return nil, err
	}
	if b.source, err = h.importSource(ctx, b.dsc); err != nil {
		return nil, fmt.Errorf("importing %s: %w", b.dsc, err)
	}
	if b.environment, err = h.environment(ctx, url, suite); err != nil {
		return nil, fmt.Errorf("providing an environment: %w", err)
	}
	b.machine, err = executor.Open(ctx, executor.Config{Dir: filepath.Join(h.dir, "bare-"+m.name), Instance: "bench-bare-" + m.name})
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := make(chan error, 1)
	go func() { seen <- b.watch(watching, m) }()
	if _, err := b.with(ctx); err != nil {
		return nil, err
	}
	stop()
	return b, <-seen
}

// watch waits for the sbuild of a worker's and notes its command line.
func (b *builds) watch(ctx context.Context, m *machine) error {
	for {
		if argv, config := sbuildOf(m.state); argv != nil {
			b.argv, b.config = argv, config
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return errors.New("the platform built, but its sbuild was not seen")
		}
	}
}

// sbuildOf finds the process of sbuild that works below a worker's state folder.
func sbuildOf(state string) (argv []string, config []byte) {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw, []byte("SBUILD_CONFIG="+state)) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil {
			continue
		}
		if argv = sbuildLine(words(line)); argv == nil {
			continue
		}
		for _, word := range words(raw) {
			if name, ok := strings.CutPrefix(word, "SBUILD_CONFIG="); ok {
				config, err = os.ReadFile(name)
			}
		}
		if err == nil {
			return argv, config
		}
	}
	return nil, nil
}

// words reads a file of words that each end with NUL: proc_pid_cmdline(5).
func words(raw []byte) []string {
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
}

// sbuildLine takes the interpreter off a command line of sbuild.
func sbuildLine(argv []string) []string {
	if len(argv) < 3 || filepath.Base(argv[0]) != "perl" || filepath.Base(argv[1]) != "sbuild" || !strings.HasSuffix(argv[len(argv)-1], ".dsc") {
		return nil
	}
	return argv[1:]
}

// pair builds twice, the platform first or last.
func (b *builds) pair(ctx context.Context, platformFirst bool) (with, without time.Duration, err error) {
	if platformFirst {
		if with, err = b.with(ctx); err != nil {
			return 0, 0, err
		}
	}
	if without, err = b.without(ctx); err != nil {
		return 0, 0, err
	}
	if !platformFirst {
		with, err = b.with(ctx)
	}
	return with, without, err
}

// with is POST → completed.
func (b *builds) with(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	w, err := b.house.ask(ctx, "sbuild", map[string]any{"input": map[string]any{"source_artifact": b.source},
		"build_architecture": architecture, "environment": b.environment})
	if err != nil {
		return 0, err
	}
	_, err = b.house.await(ctx, w.ID, buildPace)
	return time.Since(began), err
}

// without is the process of sbuild alone.
func (b *builds) without(ctx context.Context) (time.Duration, error) {
	folder, err := b.machine.NewFolder(0)
	if err != nil {
		return 0, err
	}
	defer folder.Remove()
	dsc, err := copyBeside(b.dsc, folder.Path)
	if err != nil {
		return 0, err
	}
	config := filepath.Join(folder.Path, "sbuildrc")
	if err := os.WriteFile(config, b.config, 0o644); err != nil {
		return 0, err
	}
	log := filepath.Join(folder.Path, "log")
	ran, err := b.machine.Run(ctx, executor.Command{Argv: append(slices.Clone(b.argv[:len(b.argv)-1]), dsc), Folder: folder,
		Env: map[string]string{"SBUILD_CONFIG": config}, Output: log, Limit: buildWithin})
	if err != nil {
		return 0, err
	}
	if said, _ := os.ReadFile(log); !ran.Succeeded() || !bytes.Contains(said, []byte("\nStatus: successful\n")) {
		return 0, fmt.Errorf("the bare sbuild ended with exit code %d: %s", ran.ExitCode, said[max(0, len(said)-2000):])
	}
	return ran.Duration, nil
}

// copyBeside copies a .dsc and the files of its package.
func copyBeside(dsc, dir string) (string, error) {
	name, _, _ := strings.Cut(filepath.Base(dsc), "_")
	found, err := filepath.Glob(filepath.Join(filepath.Dir(dsc), name+"_*"))
	if err != nil {
		return "", err
	}
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), raw, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, filepath.Base(dsc)), nil
}
