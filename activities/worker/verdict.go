package workeract

import (
	"fmt"
	"io"
	"os"

	"debusine"
	"debusine/executor"
)

// verdict is what came of a build, as sbuild's exit code and its log say.
//
// A build succeeded when sbuild ended with code 0, its summary says so, and
// (uploadBuilt looks) the .changes is there with all that it lists. Else the
// result says whose matter it is: the package's (failure), that of a mirror
// which was away and which time can mend (temporary failure, the words of
// Debusine's manual for it), or the environment's, which would fail every
// package alike (error).
type verdict struct {
	result  debusine.Result
	summary summary        // nil when sbuild wrote none, or one that is not its own
	reason  string         // a sentence without its end; empty for a success
	code    string         // of the reason
	dose    map[string]any // dose3's report on build dependencies; nil without one
	words   words          // of the log of a failure
}

// summarySize is how much of a log's end is looked at: sbuild's summary, and
// before it the words that a build ended with.
const summarySize = 64 << 10

// readVerdict judges a build by its log, in which bytes of any encoding stand.
func readVerdict(path string, ran executor.Result) (verdict, error) {
	end, err := tailOf(path, summarySize)
	if err != nil {
		return verdict{}, fmt.Errorf("reading the build log: %w", err)
	}
	v := verdict{result: debusine.Failure, code: "build-failed", summary: parseSummary(end)}
	if !v.summary.agrees(ran) {
		v.unfinished(end, ran)
		return v, nil
	}
	if v.summary.status() == "successful" {
		return verdict{result: debusine.Success, summary: v.summary}, nil
	}
	stage := v.summary.stage()
	w := readWords(path, stage)
	v.dose, v.words = w.dose, w
	v.judge(stage, w)
	return v, nil
}

// unfinished is for a build whose sbuild was stopped, or died: then the log
// ends with whatever the build wrote.
func (v *verdict) unfinished(end []byte, ran executor.Result) {
	forged := v.summary
	v.summary = nil
	switch {
	case ran.Cancelled || ran.Struck != "" && ran.Struck != executor.MachineDisk:
		v.reason = "" // said already
	case forged != nil:
		v.reason = fmt.Sprintf("the build log ends with status %q, but sbuild with exit code %d: the build wrote that summary, or sbuild broke", forged.status(), ran.ExitCode)
	case ran.ExitCode > 128:
		v.reason = fmt.Sprintf("sbuild was killed by signal %d before it could write its summary", ran.ExitCode-128)
	default:
		v.reason = fmt.Sprintf("sbuild ended with exit code %d before it could write its summary", ran.ExitCode)
	}
	if said := lastError(end); said != "" && v.reason != "" {
		v.reason += ": " + said
	}
}

// tailOf reads the last bytes of a file.
func tailOf(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	start := max(0, info.Size()-size)
	return io.ReadAll(io.NewSectionReader(file, start, info.Size()-start))
}
