package workeract

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// doseSize bounds dose3's report; a chain of conflicts can fill pages.
const doseSize = 256 << 10

// readDose finds dose3's report on build dependencies that cannot be installed
// in a build log: YAML between its line "… Solving..." and sbuild's next
// banner. The last one counts. nil when there is none, or none that is whole:
// maintainer scripts write to the same log.
func readDose(path string) map[string]any {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var (
		lines  = bufio.NewReader(file)
		text   strings.Builder
		inside bool
	)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case strings.HasPrefix(string(line), "(I)Dose_applications: Solving..."):
			text.Reset()
			inside = true
		case strings.HasPrefix(string(line), "+----"):
			inside = false
		case inside && text.Len()+len(line) <= doseSize:
			text.Write(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if err != io.EOF {
				return nil
			}
			return parseDose(text.String())
		}
	}
}

// parseDose reads the YAML into what JSON can hold.
func parseDose(text string) map[string]any {
	var report map[string]any
	if text == "" || yaml.Unmarshal([]byte(strings.ToValidUTF8(text, "?")), &report) != nil || report["report"] == nil {
		return nil
	}
	if raw, err := json.Marshal(report); err != nil || len(raw) > 2*doseSize {
		return nil
	}
	return report
}

// unsatisfied lists the dependencies that nothing provides, for people.
func unsatisfied(report map[string]any) []string {
	var found []string
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, value := range node {
				if text, ok := value.(string); ok && key == "unsat-dependency" && len(text) < 200 && !slices.Contains(found, text) {
					found = append(found, text)
				}
				walk(value)
			}
		case []any:
			for _, value := range node {
				walk(value)
			}
		}
	}
	walk(report)
	slices.Sort(found)
	return found[:min(len(found), 10)]
}
