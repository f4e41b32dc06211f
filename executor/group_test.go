package executor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tree makes files below a folder, as a cgroup file system shows them.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWhereGroupsAreMade(t *testing.T) {
	mine := strconv.Itoa(os.Getpid()) + "\n"
	tests := []struct {
		name, own string
		files     map[string]string
		want      string // the parents, below the root
		by        string
	}{
		{"version 2, with others in our group: at the top", "0::/user.slice/session.scope\n", map[string]string{
			"cgroup.controllers": "cpu memory pids", "cgroup.subtree_control": "cpu memory pids\n",
			"user.slice/session.scope/cgroup.procs": "1\n2\n", "user.slice/session.scope/cgroup.subtree_control": ""}, "", ByCgroup2},
		{"version 2, alone, but not delegated: at the top", "0::/system.slice/worker.service\n", map[string]string{
			"cgroup.controllers": "memory pids", "cgroup.subtree_control": "memory pids\n",
			"system.slice/worker.service/cgroup.procs": mine, "system.slice/worker.service/cgroup.subtree_control": ""}, "", ByCgroup2},
		{"version 1: below our own", "4:memory:/a/b\n8:pids:/\n0::/\n", map[string]string{
			"memory/a/b/tasks": "", "pids/tasks": "", "unified/cgroup.controllers": ""}, "memory/a/b pids", ByCgroup1},
		{"version 1, our group is another name space's: the mount", "4:memory:/gone\n8:pids:/\n", map[string]string{
			"memory/tasks": "", "pids/tasks": ""}, "memory pids", ByCgroup1},
		{"version 1 without pids", "4:memory:/\n", map[string]string{"memory/tasks": ""}, "none", ByWatching},
		{"nothing", "", nil, "none", ByWatching},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, test.files)
			g := findGroups(root, test.own, "debusine-x-")
			var got []string
			for _, parent := range g.parents {
				name, _ := strings.CutPrefix(parent, root)
				got = append(got, strings.TrimPrefix(name, "/"))
			}
			if g.version == 0 {
				got = []string{"none"}
			}
			if strings.Join(got, " ") != test.want || g.bounded() != test.by {
				t.Errorf("%v, %s", got, g.bounded())
			}
		})
	}
}

func TestUsageIsReadFromBothVersions(t *testing.T) {
	second := tree(t, map[string]string{
		"memory.stat": "anon 1000\nfile 99999\nshmem 24\n", "memory.events": "low 0\noom 2\noom_kill 1\n",
		"cpu.stat": "usage_usec 5\nuser_usec 3000000\nsystem_usec 1000000\n", "pids.events": "max 7\n"})
	first := tree(t, map[string]string{
		"memory.stat": "rss 1\ntotal_rss 1000\ntotal_shmem 24\ntotal_cache 9\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
		"pids.events": "max 7\n"})
	for version, dir := range map[int]string{1: first, 2: second} {
		u := (&jobGroup{version: version, memory: dir, pids: dir}).usage()
		if u.memory != 1024 || u.oomKills != 1 || u.refusedForks != 7 {
			t.Errorf("version %d: %+v", version, u)
		}
		if version == 2 && (u.user != 3*time.Second || u.system != time.Second) {
			t.Errorf("processor: %+v", u)
		}
	}
}

func TestLimitsAreWrittenToBothVersions(t *testing.T) {
	limits := Limits{Memory: 1 << 20, Processes: 9}
	second := tree(t, map[string]string{"memory.max": "", "memory.swap.max": "", "pids.max": ""})
	if err := (&jobGroup{version: 2, memory: second, pids: second}).limit(limits); err != nil {
		t.Fatal(err)
	}
	first := tree(t, map[string]string{"memory.limit_in_bytes": "", "pids.max": ""}) // no swap accounting
	if err := (&jobGroup{version: 1, memory: first, pids: first}).limit(limits); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(second, "memory.max"): "1048576", filepath.Join(second, "memory.swap.max"): "0", filepath.Join(second, "pids.max"): "9",
		filepath.Join(first, "memory.limit_in_bytes"): "1048576", filepath.Join(first, "pids.max"): "9",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", filepath.Base(path), got, err)
		}
	}
}

func TestGroupsOfAKilledWorkerAreSwept(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"debusine-a-1-WR-1", "debusine-a-1-WR-2", "debusine-b-1-WR-1"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	groups{version: 2, parents: []string{root}, prefix: "debusine-a-1-"}.sweep()
	left, _ := filepath.Glob(filepath.Join(root, "*"))
	if len(left) != 1 || filepath.Base(left[0]) != "debusine-b-1-WR-1" {
		t.Errorf("left: %v", left)
	}
}

func TestReasonsAreSentences(t *testing.T) {
	for _, test := range []struct {
		got  strike
		want string
	}{
		{struckMemory(4 << 30), "the command used more than 4 GiB of memory"},
		{struckMemory(1536 << 20), "the command used more than 1.5 GiB of memory"},
		{struckDisk(700), "the command used more than 700 bytes of disk"},
		{struckDisk(3 << 40), "the command used more than 3 TiB of disk"},
		{struckProcesses(8192), "the command had more than 8192 processes at once"},
		{struckTime(90 * time.Minute), "the command ran longer than 1h30m0s"},
		{struckOutput(1 << 30), "the command wrote more than 16 GiB of output"},
		{struckMachineDisk(DiskReserve, "/x"), "the disk of the worker is full: less than 512 MiB are free in /x"},
	} {
		if test.got.reason != test.want || test.got.bound == "" {
			t.Errorf("%s: %q", test.got.bound, test.got.reason)
		}
	}
}

func TestPathsOfMountsAreRead(t *testing.T) {
	for text, want := range map[string]string{`/a`: "/a", `/a\040b`: "/a b", `/a\134b`: `/a\b`, `/end\04`: `/end\04`, `/\999`: `/\999`} {
		if got := unescape(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if inside("/runs", "/run") || !inside("/run", "/run") || !inside("/run/x", "/run") {
		t.Error("inside")
	}
}
