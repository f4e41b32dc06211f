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

// unsatisfied says for people what dose3 found: dependencies that nothing
// provides, with who has them where that is not the source package itself, and
// conflicts between packages that are all needed.
func unsatisfied(report map[string]any) []string {
	var found []string
	add := func(text string) {
		if text = clip([]byte(text)); text != "" && !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	each(report, func(node map[string]any) {
		if missing, ok := node["missing"].(map[string]any); ok {
			pkg, _ := missing["pkg"].(map[string]any)
			if what := word(pkg, "unsat-dependency"); what != "" {
				add(needing(word(pkg, "package")) + what + ", which nothing provides")
			}
		}
		if conflict, ok := node["conflict"].(map[string]any); ok {
			one, _ := conflict["pkg1"].(map[string]any)
			other, _ := conflict["pkg2"].(map[string]any)
			if word(one, "package") != "" && word(other, "package") != "" {
				add(word(one, "package") + " and " + word(other, "package") + ", which conflict")
			}
		}
	})
	slices.Sort(found)
	return found
}

// needing names who has a dependency, unless it is sbuild's own package that
// stands for the source package.
func needing(who string) string {
	if who == "" || strings.HasPrefix(who, "sbuild-build-depends-") {
		return ""
	}
	return who + " needs "
}

// word is a text of the report without the architecture that dose3 adds.
func word(node map[string]any, name string) string {
	text, _ := node[name].(string)
	alternatives := strings.Split(text, " | ")
	for i, one := range alternatives {
		relation, version, found := strings.Cut(one, " ")
		relation, _, _ = strings.Cut(relation, ":")
		if alternatives[i] = relation; found {
			alternatives[i] += " " + version
		}
	}
	return strings.Join(alternatives, " | ")
}

// each visits all objects of what JSON can hold.
func each(node any, visit func(map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(node)
		for _, value := range node {
			each(value, visit)
		}
	case []any:
		for _, value := range node {
			each(value, visit)
		}
	}
}
