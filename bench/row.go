package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Row is one line of the table and one element of bench.json. Value and
// Baseline are in Unit. Baseline and Ratio, Value ÷ Baseline, are 0 where there
// is none. Floor is what was promised, in words: "≤ 40 ms", "≥ 0.6 × baseline".
type Row struct {
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Floor    string  `json:"floor"`
	Baseline float64 `json:"baseline"`
	Ratio    float64 `json:"ratio"`
	OK       bool    `json:"ok"`
}

// promise is what a row is held to.
type promise struct {
	atLeast   bool
	bound     float64
	baselines bool // bound counts baselines, not units
}

func atMost(bound float64) promise  { return promise{bound: bound} }
func atLeast(bound float64) promise { return promise{atLeast: true, bound: bound} }
func timesBaseline(factor float64) promise {
	return promise{atLeast: true, bound: factor, baselines: true}
}

// withinBaseline is for what shall take no more than a share of a baseline's.
func withinBaseline(factor float64) promise { return promise{bound: factor, baselines: true} }

func (p promise) holds(value float64) bool {
	return p.atLeast && value >= p.bound || !p.atLeast && value <= p.bound
}
func (p promise) words(unit string) string {
	sign := "≤"
	if p.atLeast {
		sign = "≥"
	}
	if p.baselines {
		return fmt.Sprintf("%s %s × baseline", sign, number(p.bound))
	}
	return fmt.Sprintf("%s %s %s", sign, number(p.bound), unit)
}

// newRow judges a value. baseline is 0 when there is none.
func newRow(name string, value float64, unit string, p promise, baseline float64) Row {
	row := Row{Name: name, Value: value, Unit: unit, Floor: p.words(unit), Baseline: baseline}
	if baseline > 0 {
		row.Ratio = value / baseline
	}
	if p.baselines {
		row.OK = baseline > 0 && p.holds(row.Ratio)
	} else {
		row.OK = p.holds(value)
	}
	return row
}

// String is the row as it is shown when it was just measured.
func (r Row) String() string {
	c := r.cells()
	text := fmt.Sprintf("%s: %s, floor %s", c[0], c[1], c[2])
	if r.Baseline > 0 {
		text += fmt.Sprintf(", baseline %s, ratio %s", c[3], c[4])
	}
	return text + ": " + c[5]
}

func (r Row) cells() []string {
	cells := []string{r.Name, number(r.Value) + " " + r.Unit, r.Floor, "–", "–", "ok"}
	if r.Baseline > 0 {
		cells[3], cells[4] = number(r.Baseline)+" "+r.Unit, number(r.Ratio)
	}
	if !r.OK {
		cells[5] = "MISSED"
	}
	return cells
}

// number shows three significant digits, and no exponent.
func number(v float64) string {
	digits := 3
	for size := math.Abs(v); size >= 1 && digits > 0; size /= 10 {
		digits--
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func printTable(to io.Writer, rows []Row) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "measure\tvalue\tfloor\tbaseline\tratio\t")
	for _, row := range rows {
		c := row.cells()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", c[0], c[1], c[2], c[3], c[4], c[5])
	}
	table.Flush()
}

func missed(rows []Row) (names []string) {
	for _, row := range rows {
		if !row.OK {
			names = append(names, row.Name)
		}
	}
	return names
}

// save puts the rows into bench.json in place of older ones of the same names.
func save(state string, rows []Row) error {
	path := filepath.Join(state, "bench.json")
	kept, err := load(path)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(merge(kept, rows), "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// By rename: who reads it never sees half a file.
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func load(path string) (rows []Row, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, fmt.Errorf("reading %s: %w; hint: move it away", path, err)
	}
	return rows, nil
}

// merge replaces rows in their places and adds the new ones at the end.
func merge(kept, rows []Row) []Row {
	merged := slices.Clone(kept)
	for _, row := range rows {
		if i := slices.IndexFunc(merged, func(k Row) bool { return k.Name == row.Name }); i >= 0 {
			merged[i] = row
		} else {
			merged = append(merged, row)
		}
	}
	return merged
}
