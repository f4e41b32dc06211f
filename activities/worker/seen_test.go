package workeract_test

import (
	"regexp"
	"strings"
	"testing"

	"debusine"
	"debusine/activities/worker"
	"debusine/api"
)

// look prints what a build sees of the machine, between two lines: nothing that
// tells an environment by what it lies on.
var look = []string{
	"echo SEEN", "id; umask; hostname; pwd; cat /etc/hosts; wc -c < /etc/resolv.conf", "env | grep -v -e ^DEB_ -e ^MAKE -e ^MFLAGS | sort",
	`for f in /dev/* /dev/pts /dev/shm /proc /sys /tmp /build; do stat -c "%n %A %u:%g %t:%T" $$f; readlink $$f; done || :`,
	`awk '$$2 ~ "^/(dev/|proc|sys)" { print $$2, $$3, $$4 }' /proc/mounts | sort -u`, "awk '{ print $$1 }' /proc/net/dev",
	"head -c 40 /proc/1/cmdline | tr '\\0' ' '; cat /proc/self/uid_map | wc -l; ulimit -a",
	"echo x > /dev/null; head -c 1 /dev/zero | wc -c; touch /dev/shm/x; echo x > /dev/full || echo full", "echo THAT WAS SEEN"}

// ofTheJob are the names and ids that each job has of its own.
var ofTheJob = regexp.MustCompile(`debusine-build(-[0-9]+)?|[ug]id=[0-9]{6,}`)

// seesTheSame builds a package in an environment that is unpacked for it and in
// one that is kept ready, to which sbuild's commands come by another way.
func seesTheSame(t *testing.T, doer *workeract.Doer, s *shelf, environment api.Artifact) {
	seen := func(doer *workeract.Doer) string {
		one := s.beside(t, environment)
		source := one.source(t, tree{"debian/rules": rules(look...)}, nil)
		outcome, err := doer.Do(t.Context(), sbuildJob(t, source.ID, environment.ID), one)
		if err != nil || outcome.Result != debusine.Success {
			t.Fatalf("%+v, %v\n%s", outcome, err, one.log)
		}
		_, after, found := strings.Cut(string(one.log), "\nSEEN\n")
		said, _, ended := strings.Cut(after, "\nTHAT WAS SEEN\n")
		if !found || !ended || len(said) < 500 {
			t.Fatalf("nothing was seen:\n%s", one.log)
		}
		return ofTheJob.ReplaceAllString(said, "OURS")
	}
	unpacked, ready := strings.Split(seen(doer), "\n"), strings.Split(seen(newReadyDoer(t, workeract.DefaultReadySize).Doer), "\n")
	for i := range max(len(unpacked), len(ready)) {
		if i >= len(unpacked) || i >= len(ready) || unpacked[i] != ready[i] {
			t.Errorf("from line %d on another is seen\nunpacked:\n%s\n\nready:\n%s", i+1, strings.Join(unpacked, "\n"), strings.Join(ready, "\n"))
			break
		}
	}
}
