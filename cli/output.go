package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"gopkg.in/yaml.v3"
)

// output prints answers: for people, or as JSON or YAML for programs.
type output struct {
	to         io.Writer
	json, yaml bool
	width      int // columns of the terminal; 0 for no limit
}

func newOutput(c *cli.Context) *output {
	o := &output{to: c.App.Writer, json: c.Bool("json"), yaml: c.Bool("yaml")}
	if file, ok := c.App.Writer.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			o.width = width
		}
	}
	return o
}

// machine says that a program reads.
func (o *output) machine() bool { return o.json || o.yaml }

// print writes v as JSON or YAML, or has people's form written.
func (o *output) print(v any, people func() error) error {
	if !o.machine() {
		return people()
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if o.yaml {
		if raw, err = yamlOf(raw); err != nil {
			return err
		}
	} else {
		raw = append(raw, '\n')
	}
	_, err = o.to.Write(raw)
	return err
}

// yamlOf keeps the order of JSON's keys.
func yamlOf(raw []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil {
		return nil, err
	}
	plain(&node)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(&node)
	return b.Bytes(), err
}

// plain drops JSON's braces and quotes; the encoder quotes what needs it, but
// for the words that are booleans to readers of YAML 1.1, such as Python's.
func plain(n *yaml.Node) {
	n.Style = 0
	switch strings.ToLower(n.Value) {
	case "y", "n", "yes", "no", "on", "off":
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// table prints aligned columns under a head.
func (o *output) table(head []string, rows [][]string) error {
	all := append([][]string{head}, rows...)
	widths := make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			row[i] = oneLine(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(o.to, cut(strings.TrimRight(b.String(), " "), o.width)); err != nil {
			return err
		}
	}
	return nil
}

// pairs prints a thing as lines of "name: value"; empty values are left out.
func (o *output) pairs(pairs ...[2]string) error {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] == "" {
			continue
		}
		line := fmt.Sprintf("%-*s  %s", width+1, p[0]+":", visible(p[1]))
		if strings.HasPrefix(p[1], "\n") {
			line = p[0] + ":" + visible(p[1])
		}
		if _, err := fmt.Fprintln(o.to, line); err != nil {
			return err
		}
	}
	return nil
}

// cut trims a line to the terminal.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width-1, 0)]) + "…"
}

// visible replaces what could make a terminal do things: names and reasons come
// from other people, and from build machines.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}

func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(visible(s))
}

// bytesOf writes a size as people read it.
func bytesOf(n int64) string {
	const kilo = 1024
	size, unit := float64(n), 0
	for ; size >= kilo && unit < 4; unit++ {
		size /= kilo
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGT"[unit-1])
}

// span writes a duration as people read it.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// indented writes JSON for people.
func indented(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		return ""
	}
	text, err := yamlOf(raw)
	if err != nil {
		return string(raw)
	}
	lines := strings.TrimRight(string(text), "\n")
	return "\n    " + strings.ReplaceAll(lines, "\n", "\n    ")
}
