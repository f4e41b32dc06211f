package worker

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	workeract "debusine/activities/worker"
	"debusine/executor"
	"debusine/executor/executortest"
)

func TestAmounts(t *testing.T) {
	tests := []struct {
		text string
		want int64 // 0 with "" alone
		ok   bool
	}{
		{"", 0, true},
		{"none", -1, true},
		{"700", 700, true},
		{"512M", 512 << 20, true},
		{"8G", 8 << 30, true},
		{"2T", 2 << 40, true},
		{"1K", 1024, true},
		{"0", 0, false},
		{"-1", 0, false},
		{"G", 0, false},
		{"8 G", 0, false},
		{"8g", 0, false},
		{"8GiB", 0, false},
		{"9223372036854775807G", 0, false},
	}
	for _, test := range tests {
		got, err := parseAmount(test.text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %d, %v", test.text, got, err)
		}
	}
}

func TestMachineTellsHowItContainsJobs(t *testing.T) {
	box := executortest.OpenWith(t, executor.Config{Limits: executor.Limits{Memory: 1 << 30}})
	doer, err := workeract.New(t.Context(), box, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{box: box, doer: doer, arch: "amd64", concurrency: 3}
	facts := m.report()
	limits, ok := facts["system:job_limits"].(map[string]int64)
	if !ok || limits["memory"] != 1<<30 || limits["disk"] != -1 || limits["processes"] <= 0 {
		t.Errorf("limits: %v", facts["system:job_limits"])
	}
	if by := facts["system:bounded_by"]; by != box.BoundedBy() || !strings.Contains("cgroup1 cgroup2 rlimits", by.(string)) {
		t.Errorf("bounded by %v", by)
	}
	root := os.Geteuid() == 0
	if facts["system:isolated"] != root {
		t.Errorf("isolated: %v", facts["system:isolated"])
	}
	if got := m.atOnce(5); root && got != 5 || !root && got != 1 {
		t.Errorf("%d jobs at once", got)
	}
}
