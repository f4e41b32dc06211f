package workeract

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"debusine"
	"debusine/executor"
)

// verdict is what the end of a build log says.
type verdict struct {
	status    string         // of the last line "Status: …"; empty when there is none
	failStage string         // of the last line "Fail-Stage: …"
	dose      map[string]any // dose3's report on build dependencies; nil without one
}

// summarySize is how much of a log's end is looked at: sbuild's summary, and
// what a long list of packages may put into it.
const summarySize = 64 << 10

// readVerdict reads sbuild's summary. A build can print such lines itself, so
// the last ones count, which sbuild writes after the build is over; and the
// exit code must agree. Bytes of any encoding may stand around them.
func readVerdict(path string) (verdict, error) {
	file, err := os.Open(path)
	if err != nil {
		return verdict{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return verdict{}, err
	}
	start := max(0, info.Size()-summarySize)
	end, err := io.ReadAll(io.NewSectionReader(file, start, info.Size()-start))
	if err != nil {
		return verdict{}, fmt.Errorf("reading the build log: %w", err)
	}
	v := parseVerdict(end)
	if v.failStage == "install-deps" {
		v.dose = readDose(path)
	}
	return v, nil
}

func parseVerdict(end []byte) verdict {
	var v verdict
	for line := range bytes.Lines(end) {
		line = bytes.TrimRight(line, "\r\n")
		if word, found := bytes.CutPrefix(line, []byte("Status: ")); found {
			v.status = clean(word)
		}
		if word, found := bytes.CutPrefix(line, []byte("Fail-Stage: ")); found {
			v.failStage = clean(word)
		}
	}
	return v
}

// clean makes a word of a log fit to be shown: it may be anything.
func clean(word []byte) string {
	word = bytes.TrimSpace(word[:min(len(word), 100)])
	return string(bytes.ToValidUTF8(word, []byte("?")))
}

// successful is sbuild's word for it. Not skipped: then nothing was built.
func (v verdict) successful() bool { return v.status == "successful" }

// explain says why a build counts as failed.
func (v verdict) explain(ran executor.Result) []debusine.TaskError {
	message := fmt.Sprintf("the build ended with status %q", v.status)
	switch {
	case ran.TimedOut:
		return nil // said already
	case v.status == "":
		message = "the build log has no line \"Status: …\": sbuild was ended before it could write its summary"
	case v.successful():
		message = fmt.Sprintf("sbuild says that the build was successful, but ended with exit code %d", ran.ExitCode)
	}
	if v.failStage != "" {
		message += ", in stage " + v.failStage
	}
	if missing := unsatisfied(v.dose); len(missing) > 0 {
		message += "; nothing provides " + strings.Join(missing, ", ")
	}
	return []debusine.TaskError{{Message: message, Code: "build-failed"}}
}
