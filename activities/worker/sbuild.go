package workeract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"debusine"
	"debusine/api"
	"debusine/executor"
	"debusine/task"
)

// sbuild builds a source package: spec §3.1.
type sbuild struct {
	data *task.SbuildData

	source     api.Artifact
	name       string // of the source package
	version    string
	dsc        string
	extra      []string // paths of .debs that may be installed
	tarball    string
	image      image    // of a disk, where the backend wants one
	layers     []string // the environment, where the worker keeps it ready
	base       int64    // its number
	codename   string
	buildFiles string // where sbuild puts what it built
	refused    string // why the source is not even given to sbuild
	wanted     string // the version of the packages: the source's, or the rebuild's
	injected   injected
}

// sbuildInputs are what the lookups of the task came to.
type sbuildInputs struct {
	Source      int64   `json:"input_source_artifact_id"`
	Extra       []int64 `json:"input_extra_binary_artifacts_ids"`
	Environment int64   `json:"environment_id"`
}

func (s *sbuild) subject() int64 { return s.source.ID }

// setup fetches source, extra packages and environment beside one another.
func (s *sbuild) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	var in sbuildInputs
	if err := json.Unmarshal(a.job.Dynamic, &in); err != nil {
		return executor.Command{}, unusablef("the dynamic task data cannot be read: %v", err)
	}
	group, fetching := errgroup.WithContext(ctx)
	group.Go(func() error { return s.fetchSource(fetching, a, in.Source) })
	group.Go(func() error { return s.fetchExtra(fetching, a, in.Extra) })
	group.Go(func() error { return s.fetchEnvironment(fetching, a, in.Environment) })
	if err := group.Wait(); err != nil {
		return executor.Command{}, err
	}
	var err error
	if s.injected, err = readInjected(s.extra); err != nil {
		return executor.Command{}, err
	}
	reason, err := s.checkSource()
	if err != nil {
		return executor.Command{}, err
	}
	if s.refused = reason; reason != "" {
		// The log of such a build is this sentence.
		return executor.Command{Argv: []string{"printf", "%s\n", "E: " + reason}}, nil
	}
	return s.command(a)
}

func (s *sbuild) fetchSource(ctx context.Context, a *attempt, id int64) error {
	artifact, err := a.server.Artifact(ctx, id)
	if err != nil {
		return fmt.Errorf("asking for source artifact %d: %w", id, err)
	}
	var data struct{ Name, Version string }
	if err := json.Unmarshal(artifact.Data, &data); err != nil || data.Name == "" || data.Version == "" {
		return unusablef("artifact %d does not say which source package it is", id)
	}
	paths, err := a.fetchAll(ctx, artifact, filepath.Join(a.folder.Path, "source"), nil)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if !strings.HasSuffix(path, ".dsc") {
			continue
		}
		if s.dsc != "" {
			return unusablef("artifact %d holds more than one .dsc", id)
		}
		s.dsc = path
	}
	if s.dsc == "" {
		return unusablef("artifact %d holds no .dsc", id)
	}
	s.source, s.name, s.version, s.wanted = artifact, data.Name, data.Version, data.Version
	return nil
}

// fetchExtra puts each artifact's packages in a folder of its own: two may
// hold a file of the same name.
func (s *sbuild) fetchExtra(ctx context.Context, a *attempt, ids []int64) error {
	for _, id := range ids {
		artifact, err := a.server.Artifact(ctx, id)
		if err != nil {
			return fmt.Errorf("asking for extra packages, artifact %d: %w", id, err)
		}
		paths, err := a.fetchAll(ctx, artifact, filepath.Join(a.folder.Path, "extra", fmt.Sprint(id)),
			func(name string) bool { return strings.HasSuffix(name, ".deb") })
		if err != nil {
			return err
		}
		s.extra = append(s.extra, paths...)
	}
	slices.Sort(s.extra)
	return nil
}

func (s *sbuild) fetchEnvironment(ctx context.Context, a *attempt, id int64) error {
	artifact, err := a.server.Artifact(ctx, id)
	if err != nil {
		return fmt.Errorf("asking for environment %d: %w", id, err)
	}
	var data struct {
		Codename string
		Boot     string `json:"boot_mechanism"`
	}
	if err := json.Unmarshal(artifact.Data, &data); err != nil || data.Codename == "" {
		return unusablef("environment %d does not say its codename", id)
	}
	s.codename, s.base = data.Codename, id
	if b := s.backend(); b.Image || b.Name == "incus-lxc" {
		return s.fetchWhole(ctx, a, artifact, data.Boot)
	}
	layers, release, err := a.ready.layers(ctx, a.server, artifact)
	if err == nil && len(layers) > 0 {
		a.atEnd = append(a.atEnd, release) // from this goroutine alone
		s.layers = layers
		s.tarball, err = emptyTarball(a.folder)
		return err
	}
	if err != nil {
		a.log.Warn("an environment could not be kept ready; it is unpacked for this build alone", "environment", id, "error", err)
	}
	s.tarball, release, err = a.cache.environment(ctx, a.server, artifact)
	if err == nil {
		a.atEnd = append(a.atEnd, release)
	}
	return err
}

// fetchWhole has the environment as the file that it is, for backends that begin
// with that.
func (s *sbuild) fetchWhole(ctx context.Context, a *attempt, artifact api.Artifact, boot string) error {
	if !s.backend().Image {
		path, release, err := a.cache.environment(ctx, a.server, artifact)
		if err == nil {
			s.tarball, a.atEnd = path, append(a.atEnd, release)
		}
		return err
	}
	if boot != "efi" && boot != "bios" {
		return unusablef("environment %d does not say how it boots", artifact.ID)
	}
	path, release, err := a.cache.image(ctx, a.server, artifact)
	if err == nil {
		s.image = image{path: path, packed: strings.HasSuffix(path, packedSuffix), boot: boot}
		a.atEnd = append(a.atEnd, release)
		if !s.image.packed { // a packed one is looked at where it is unpacked
			err = standsAlone(path)
		}
	}
	return err
}

// teardown uploads the log, whatever it says; packages only of a success.
func (s *sbuild) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	verdict, err := s.judge(a, ran)
	if err != nil {
		return "", err
	}
	s.noteInstalled(a)
	a.stage, a.leastDisk = verdict.summary.stage(), verdict.summary.number("Build-Space")*1024
	a.failure = classify(verdict, ran, a.space)
	log := inBackground(func() (int64, error) { return s.uploadLog(ctx, a, verdict.dose) })
	if verdict.result != debusine.Success {
		if verdict.reason != "" {
			a.errors = append(a.errors, debusine.TaskError{Message: verdict.reason, Code: verdict.code})
		}
		_, err := log()
		return verdict.result, err
	}
	if err = s.injected.check(a.logPath()); err == nil {
		err = s.uploadBuilt(ctx, a, log)
	}
	_, failed := log()
	switch {
	case failed != nil:
		return "", failed
	case errors.As(err, new(notInjected)):
		a.errors = append(a.errors, debusine.TaskError{Message: err.Error(), Code: "extra-packages-not-used"})
		a.failure = &debusine.BuildFailure{Class: debusine.FailedDependencies, Evidence: clip([]byte(err.Error()))}
		return debusine.Failure, nil
	case isUnusable(err):
		// sbuild says it is well, but what is there is not what a build leaves.
		a.errors = append(a.errors, debusine.TaskError{Message: err.Error(), Code: "bad-output"})
		a.failure = &debusine.BuildFailure{Class: debusine.FailedSource, Evidence: clip([]byte(err.Error()))}
		return debusine.Failure, nil
	case err != nil:
		return "", err
	}
	return debusine.Success, nil
}

// noteInstalled has what this build installed ready for the next, in the version
// that the mirror then has.
func (s *sbuild) noteInstalled(a *attempt) {
	if len(s.layers) == 0 {
		return
	}
	installed, err := installedIn(a.logPath())
	if err != nil {
		a.log.Warn("what a build installed is not known", "error", err)
		return
	}
	names := []string{}
	for _, p := range installed {
		if _, given := s.injected[p.name]; !given && !strings.HasPrefix(p.name, "sbuild-build-depends-") {
			names = append(names, p.name+p.arch)
		}
	}
	a.ready.used(s.base, names)
}

func (s *sbuild) judge(a *attempt, ran executor.Result) (verdict, error) {
	if s.refused != "" {
		return verdict{result: debusine.Failure, reason: s.refused, code: "bad-source"}, nil
	}
	v, err := readVerdict(a.logPath(), ran)
	if ran.Struck == "" || ran.Struck == executor.MachineDisk {
		v.judgeSpace(a.space, ran)
	}
	return v, err
}

// inBackground starts f; the function that it gives waits for the answer.
func inBackground[T any](f func() (T, error)) func() (T, error) {
	once := sync.OnceValues(f)
	go once()
	return once
}
