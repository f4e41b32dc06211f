package executortest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"debusine/executor"
)

// Limits runs the part of the contract that says what a command may take. Each
// case ends by itself when nothing bounds it, and then fails.
func Limits(t *testing.T, m Runner) {
	tests := []struct {
		name, script string
		limits       executor.Limits
		struck       executor.Bound
		reason       string
	}{
		{"a process that takes too much memory", `perl -e 'for (1..60) { push @x, "x" x (8 << 20); select undef, undef, undef, 0.03 } print "got it\n"'`,
			executor.Limits{Memory: 128 << 20}, executor.Memory, "more than 128 MiB of memory"},
		{"many processes that together take too much memory",
			`pids=; for i in 1 2 3 4 5 6; do perl -e '$x = "x" x (30 << 20); sleep 4' & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done; echo got it`,
			executor.Limits{Memory: 128 << 20}, executor.Memory, "more than 128 MiB of memory"},
		{"a fork bomb", `perl -e '$SIG{TERM} = "IGNORE"; my $end = time + 30; fork while time < $end; print "got it\n"'`,
			executor.Limits{Processes: 60}, executor.Processes, "more than 60 processes at once"},
		{"a file that grows and grows", `i=0; while [ $i -lt 60 ]; do head -c 8388608 /dev/zero >> big; i=$((i+1)); sleep 0.1; done; echo got it`,
			executor.Limits{Disk: 100 << 20}, executor.Disk, "more than 100 MiB of disk"},
		{"a file that was deleted and grows", `exec 9> big; rm big; i=0; while [ $i -lt 60 ]; do head -c 8388608 /dev/zero >&9; i=$((i+1)); sleep 0.1; done; echo got it`,
			executor.Limits{Disk: 100 << 20}, executor.Disk, "more than 100 MiB of disk"},
		{"a disk that is filled in /tmp", `i=0; while [ $i -lt 60 ]; do head -c 8388608 /dev/zero >> /tmp/big; i=$((i+1)); sleep 0.1; done; echo got it`,
			executor.Limits{Disk: 100 << 20}, executor.Disk, "more than 100 MiB of disk"},
		{"output without end", `timeout 60 yes; echo got it`, executor.Limits{}, executor.Output, "more than 256 MiB of output"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if os.Geteuid() != 0 && strings.Contains(test.script, "/tmp/") {
				t.Skip("without root /tmp is not the job's own")
			}
			t.Parallel()
			result, said := Shell(t, m, context.Background(), test.script, func(c *executor.Command) {
				c.Limits, c.OutputLimit = test.limits, 1<<20
			})
			if result.Struck != test.struck || !strings.Contains(result.Reason, test.reason) || result.Succeeded() || result.TimedOut {
				t.Errorf("got %+v", result)
			}
			if strings.Contains(said, "got it") || result.Duration > 35*time.Second {
				t.Errorf("it was not stopped: %v, %.200q", result.Duration, said)
			}
		})
	}
	t.Run("a command that stays below its limits does not know them", func(t *testing.T) { belowLimits(t, m) })
	t.Run("a sparse file takes nothing", func(t *testing.T) {
		result, _ := Shell(t, m, t.Context(), "truncate -s 1T sparse", func(c *executor.Command) { c.Limits.Disk = 50 << 20 })
		if !result.Succeeded() || result.Disk > 50<<20 {
			t.Errorf("got %+v", result)
		}
	})
	t.Run("a limit of time is told in words", func(t *testing.T) {
		result, _ := Shell(t, m, t.Context(), "sleep 60", limit(m, 200*time.Millisecond))
		if result.Struck != executor.Time || result.Reason != "the command ran longer than "+(200*time.Millisecond+opening(m)).String() {
			t.Errorf("got %+v", result)
		}
	})
}

func belowLimits(t *testing.T, m Runner) {
	script := `perl -e '$x = "x" x (60 << 20); sleep 2' & head -c 20M /dev/zero > file; cat file > /dev/null; wait`
	result, _ := Shell(t, m, t.Context(), script, func(c *executor.Command) {
		c.Limits = executor.Limits{Memory: 256 << 20, Disk: 64 << 20, Processes: 60}
	})
	if !result.Succeeded() || result.Struck != "" || result.Reason != "" {
		t.Errorf("got %+v", result)
	}
	if result.PeakMemory < 60<<20 || result.PeakMemory > 256<<20 || result.PeakMemory < result.MaxRSS {
		t.Errorf("memory %d at most, %d by one", result.PeakMemory, result.MaxRSS)
	}
	if result.CPU != result.User+result.System || result.CPU == 0 {
		t.Errorf("processor: %v is not %v + %v", result.CPU, result.User, result.System)
	}
}
