package task

import (
	"math"
	"strings"
	"testing"

	"debusine"
)

func TestIdsNameTheInstallationTheRowAndTheRun(t *testing.T) {
	for want, got := range map[string]string{
		"wf/x7k2/12/noop":                         WorkflowID("x7k2", 12, NoopWorkflow, Description{}),
		"wf/x7k2/12/sbuild/gcc-14_1:14.2.0~rc1+b": WorkflowID("x7k2", 12, SbuildWorkflow, Description{ParameterSummary: "gcc-14_1:14.2.0~rc1+b"}),
		"wf/x7k2/12/sbuild/a-..-----b-":           WorkflowID("x7k2", 12, SbuildWorkflow, Description{ParameterSummary: "a/../?#% b\u00e9"}),
		"wr/x7k2/12":                              ActivityID("x7k2", 12),
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestALongNameMakesNoLongId(t *testing.T) {
	if id := WorkflowID("x7k2", 12, SbuildWorkflow, Description{ParameterSummary: strings.Repeat("a", 5000)}); len(id) > 300 {
		t.Errorf("the id has %d bytes", len(id))
	}
}

func TestOnlyOurActivityIdsAreRead(t *testing.T) {
	for _, id := range []int64{1, 12, math.MaxInt64} {
		if got, ok := ParseActivityID("test", ActivityID("test", id)); !ok || got != id {
			t.Errorf("%d: %d, %v", id, got, ok)
		}
	}
	for _, id := range []string{"", "wr/test/", "wr/test/0", "wr/test/-1", "wr/test/+1", "wr/test/012", "wr/test/1 ", "wr/test/1/2", "wr/other/1",
		"wf/test/1", "wr/test/9223372036854775808", "wr/test/0x1", "wr/test/1\x00", "WR/test/1"} {
		if got, ok := ParseActivityID("test", id); ok {
			t.Errorf("%q was read as %d", id, got)
		}
	}
}

func TestWhatWasRightlySkippedSucceeded(t *testing.T) {
	for o, want := range map[Outcome]bool{
		{Status: debusine.Completed, Result: debusine.Success}:          true,
		{Status: debusine.Completed, Result: debusine.Skipped}:          true,
		{Status: debusine.Completed, Result: debusine.Failure}:          false,
		{Status: debusine.Completed, Result: debusine.TemporaryFailure}: false,
		{Status: debusine.Completed, Result: debusine.Error}:            false,
		{Status: debusine.Aborted}:                                      false,
		{Status: debusine.Aborted, Result: debusine.Success}:            false,
		{Status: debusine.Running}:                                      false,
	} {
		if o.Succeeded() != want {
			t.Errorf("%+v succeeded: %v", o, !want)
		}
	}
}

func TestAWorkersActivityMayTakeAsLongAsItsTask(t *testing.T) {
	for _, name := range append(WorkerTasks(), "a task of another release") {
		limit, heartbeat, retry := WorkerOptions("build/amd64", name)
		definition, err := WorkerTask(name)
		if err == nil && limit < definition.Limit {
			t.Errorf("%s is cut off after %s, before its own limit", name, limit)
		}
		// Temporal counts hand-backs and losses alike: it must never give up.
		if limit <= heartbeat || retry.MaximumAttempts != 0 || retry.InitialInterval <= 0 {
			t.Errorf("%s: %s, %s, %+v", name, limit, heartbeat, retry)
		}
	}
}

func TestTheServersWorkIsRetriedUnlessItIsAFault(t *testing.T) {
	options := onServer(Plan.Limit)
	if options.TaskQueue != ServerQueue || options.StartToCloseTimeout != Plan.Limit || options.RetryPolicy.MaximumAttempts != 0 {
		t.Errorf("%+v", options)
	}
	if types := options.RetryPolicy.NonRetryableErrorTypes; len(types) != 1 || types[0] != FaultType {
		t.Errorf("not retried: %q", types)
	}
	if MayPoll(ServerQueue) || MayPoll(SigningQueue) {
		t.Error("a build machine may poll a queue of the trusted network")
	}
}
