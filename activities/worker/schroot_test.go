package workeract_test

import (
	"strings"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/executor"
	"debusine/executor/executortest"
)

// inBackend is a build of a source in an environment, with a backend.
func inBackend(t *testing.T, backend string, source, environment int64) workeract.Job {
	t.Helper()
	return job(t, "sbuild", object{"input": object{"source_artifact": source}, "build_architecture": "amd64", "environment": "bookworm", "backend": backend},
		object{"input_source_artifact_id": source, "environment_id": environment, "input_extra_binary_artifacts_ids": []int64{}})
}

// tellsWhere says what a build in a schroot can see of the machine, and whose it is.
var tellsWhere = rules(`echo "I am $$(id -un)"`,
	`test -e /etc/schroot/schroot.conf || echo "no chroots of the machine"`, `cat /etc/debian_chroot`)

// buildsInSchroot shares the environment of TestBuilds: hello in one unpacked for
// it, then small ones where the environment is kept ready.
func buildsInSchroot(t *testing.T, doer *workeract.Doer, s *shelf, hello, environment api.Artifact) {
	offering(t, "schroot")
	outcome, err := doer.Do(t.Context(), inBackend(t, "schroot", hello.ID, environment.ID), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("%+v, %v\n%s", outcome, err, s.log)
	}
	helloIsStored(t, s)
	ready, small := newReadyDoer(t, workeract.DefaultReadySize), s.beside(t, environment)
	source := small.source(t, tree{"debian/rules": tellsWhere}, nil)
	outcome, err = ready.Do(t.Context(), inBackend(t, "schroot", source.ID, environment.ID), small)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("%+v, %v\n%s", outcome, err, small.log)
	}
	for _, want := range []string{"I am sbuild\n", "\nno chroots of the machine\n", "\ndebusine\n", "\nStatus: successful\n"} {
		if !strings.Contains(string(small.log), want) {
			t.Errorf("%q is missing in the log:\n%s", want, small.log)
		}
	}
	if ids := ready.Ready(); len(ids) != 1 {
		t.Errorf("ready are %v", ids)
	}
	bad := s.beside(t, environment)
	source = bad.source(t, tree{"debian/rules": rules("false")}, nil)
	outcome, err = ready.Do(t.Context(), inBackend(t, "schroot", source.ID, environment.ID), bad)
	if err != nil || outcome.Result != debusine.Failure || outcome.OutputData.Command.FailStage != "build" || len(bad.all("debian:package-build-log")) != 1 {
		t.Errorf("%+v, %v\n%s", outcome, err, bad.log)
	}
}

// offering gives a machine that has a backend, and skips a test where none has.
func offering(t *testing.T, name string) (*executor.Machine, executor.Backend) {
	t.Helper()
	b, err := executor.BackendNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	m := executortest.Open(t)
	if err := m.Offers(t.Context(), b); err != nil {
		t.Skip(err)
	}
	return m, b
}
