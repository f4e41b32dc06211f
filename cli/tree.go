package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"debusine"
	"debusine/api"
)

// view shows how a tree of work requests goes on: redrawn on a terminal, a line
// for each change elsewhere.
type view struct {
	to     io.Writer
	tty    bool
	signs  signs
	size   func() (columns, lines int)
	tree   []api.WorkRequest
	drawn  int              // lines that the last drawing took
	turn   int              // of the spinner
	stands map[int64]string // what was told of each, without a terminal
}

// signs are how states look.
type signs struct {
	spin                     []string
	good, bad, waits, stuck  string
	branch, corner, ellipsis string
}

var (
	utf8Signs  = signs{[]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}, "✓", "✗", "·", "!", "├─ ", "└─ ", "…"}
	asciiSigns = signs{[]string{"|", "/", "-", "\\"}, "+", "x", ".", "!", "|- ", "`- ", "..."}
)

func (s *session) newView() *view {
	v := &view{to: s.notes, tty: s.tty && !s.out.machine(), stands: map[int64]string{}, signs: asciiSigns}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if upper := strings.ToUpper(value); strings.Contains(upper, "UTF-8") || strings.Contains(upper, "UTF8") {
				v.signs = utf8Signs
			}
			break
		}
	}
	v.size = func() (int, int) {
		columns, lines, err := term.GetSize(int(os.Stderr.Fd()))
		if err != nil || columns <= 0 || lines <= 0 {
			return 80, 24
		}
		return columns, lines
	}
	return v
}

// show takes in how things stand now.
func (v *view) show(tree []api.WorkRequest) {
	v.tree = tree
	if v.tty {
		v.draw()
		return
	}
	for _, w := range tree {
		still := standingAt(w, w.CreatedAt) // time that passes is no news
		if v.stands[w.ID] == still {
			continue
		}
		v.stands[w.ID] = still
		now := standing(w)
		line := fmt.Sprintf("%s  %d  %s  %s", time.Now().Format("15:04:05"), w.ID, oneLine(title(w)), oneLine(now))
		if debusine.Status(w.Status).Ended() {
			line += "  " + took(w, time.Now())
		}
		fmt.Fprintln(v.to, strings.TrimRight(line, " "))
	}
}

// pause waits, and turns the spinner meanwhile; false when ctx ends.
func (v *view) pause(ctx context.Context, pause time.Duration) bool {
	end := time.After(pause)
	turn := time.NewTicker(drawPause)
	defer turn.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end:
			return true
		case <-turn.C:
			if v.turn++; v.tty {
				v.draw()
			}
		}
	}
}

// end leaves the last drawing on the screen.
func (v *view) end() { v.drawn = 0 }

// draw writes the tree over the last drawing. What does not fit the screen is
// counted: a terminal cannot go back above its first line.
func (v *view) draw() {
	columns, lines := v.size()
	all := v.lines(time.Now())
	if most := max(lines-2, 2); len(all) > most {
		left := len(all) - most + 1
		all = append(all[:most-1], fmt.Sprintf("%s and %d more", v.signs.ellipsis, left))
	}
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", v.drawn)
	}
	b.WriteString("\x1b[J")
	for _, line := range all {
		b.WriteString(cut(line, columns))
		b.WriteByte('\n')
	}
	v.drawn = len(all)
	io.WriteString(v.to, b.String())
}

// lines renders the tree: depth first, below the root by number.
func (v *view) lines(now time.Time) []string {
	if len(v.tree) == 0 {
		return nil
	}
	below := map[int64][]api.WorkRequest{}
	for _, w := range v.tree[1:] {
		parent := v.tree[0].ID
		if w.Parent != nil {
			parent = *w.Parent
		}
		below[parent] = append(below[parent], w)
	}
	width := 0
	for _, w := range v.tree[1:] {
		width = max(width, utf8.RuneCountInString(title(w)))
	}
	root := v.tree[0]
	lines := []string{fmt.Sprintf("%s %d  %s  %s  %s", v.sign(root), root.ID, oneLine(title(root)), oneLine(standing(root)), took(root, now))}
	return v.branches(lines, below, root.ID, "", min(width, 40), now)
}

func (v *view) branches(lines []string, below map[int64][]api.WorkRequest, parent int64, indent string, width int, now time.Time) []string {
	children := below[parent]
	delete(below, parent) // a loop in what a server says ends here
	for i, w := range children {
		branch, next := v.signs.branch, indent+strings.Repeat(" ", 3)
		if i == len(children)-1 {
			branch = v.signs.corner
		} else if v.signs.spin[0] != "|" {
			next = indent + "│  "
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s%s%s %d  %-*s  %s  %s", indent, branch, v.sign(w), w.ID, width, oneLine(title(w)), oneLine(standing(w)), took(w, now)), " "))
		lines = v.branches(lines, below, w.ID, next, width, now)
	}
	return lines
}

func (v *view) sign(w api.WorkRequest) string {
	switch {
	case w.Status == string(debusine.Running):
		return v.signs.spin[v.turn%len(v.signs.spin)]
	case w.Result == string(debusine.Success) || w.Result == string(debusine.Skipped):
		return v.signs.good
	case debusine.Status(w.Status).Ended():
		return v.signs.bad
	case stuck(w):
		return v.signs.stuck
	}
	return v.signs.waits
}

// outputOf reads output_data.
func outputOf(w api.WorkRequest) (debusine.OutputData, error) {
	var output debusine.OutputData
	if len(w.OutputData) == 0 {
		return output, errNoOutput
	}
	return output, json.Unmarshal(w.OutputData, &output)
}
