package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARowIsHeldToItsFloor(t *testing.T) {
	for name, c := range map[string]struct {
		row   Row
		floor string
		ratio float64
		ok    bool
	}{
		"quick enough":                            {newRow("r", 39, "ms", atMost(40), 0), "≤ 40 ms", 0, true},
		"exactly at the bound":                    {newRow("r", 40, "ms", atMost(40), 0), "≤ 40 ms", 0, true},
		"too slow":                                {newRow("r", 40.1, "ms", atMost(40), 0), "≤ 40 ms", 0, false},
		"often enough":                            {newRow("r", 2000, "/s", atLeast(2000), 0), "≥ 2000 /s", 0, true},
		"not often enough":                        {newRow("r", 1999, "/s", atLeast(2000), 0), "≥ 2000 /s", 0, false},
		"a baseline beside an absolute floor":     {newRow("r", 30, "ms", atMost(40), 15), "≤ 40 ms", 2, true},
		"enough of the baseline":                  {newRow("r", 60, "/s", timesBaseline(0.6), 100), "≥ 0.6 × baseline", 0.6, true},
		"little enough of the baseline":           {newRow("r", 74, "s", withinBaseline(0.75), 100), "≤ 0.75 × baseline", 0.74, true},
		"too much of the baseline":                {newRow("r", 76, "s", withinBaseline(0.75), 100), "≤ 0.75 × baseline", 0.76, false},
		"too little of the baseline":              {newRow("r", 59, "/s", timesBaseline(0.6), 100), "≥ 0.6 × baseline", 0.59, false},
		"a baseline that was not measured is not": {newRow("r", 59, "/s", timesBaseline(0.6), 0), "≥ 0.6 × baseline", 0, false},
		"a floor of hundredths keeps its digits":  {newRow("r", 0, "a task", atMost(0.05), 0), "≤ 0.05 a task", 0, true},
	} {
		if c.row.OK != c.ok || c.row.Floor != c.floor || c.row.Ratio != c.ratio {
			t.Errorf("%s: %+v", name, c.row)
		}
	}
}

func TestNumbersAreShownShortly(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.05: "0.05", 0.0512: "0.051", 0.6: "0.6", 1.5: "1.5", 2: "2", 12.345: "12.3", 123.456: "123", 2000: "2000", -3.2: "-3.2"} {
		if got := number(v); got != want {
			t.Errorf("%v is shown as %s, not %s", v, got, want)
		}
	}
}

func TestRowsOfOthersStayInTheFile(t *testing.T) {
	dir := t.TempDir()
	first := []Row{newRow("mine", 1, "s", atMost(2), 0), newRow("of another bench", 7, "s", atMost(2), 0)}
	if err := save(dir, first); err != nil {
		t.Fatal(err)
	}
	if err := save(dir, []Row{newRow("new", 3, "s", atMost(2), 0), newRow("mine", 1.5, "s", atMost(2), 0)}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, element := range list {
		for _, key := range []string{"name", "value", "unit", "floor", "baseline", "ratio", "ok"} {
			if _, there := element[key]; !there {
				t.Errorf("%s is missing in %v", key, element)
			}
		}
		seen = append(seen, element["name"].(string))
	}
	if got := strings.Join(seen, ", "); got != "mine, of another bench, new" || list[0]["value"] != 1.5 {
		t.Errorf("the file holds %s", raw)
	}
}

func TestAFileThatIsNoneIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bench.json")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := save(dir, nil); err == nil || !strings.Contains(err.Error(), "hint") {
		t.Errorf("got %v", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "precious" {
		t.Errorf("it holds %s", raw)
	}
}

func TestTheTableNamesWhatWasMissed(t *testing.T) {
	rows := []Row{newRow("quick", 1, "s", atMost(2), 4), newRow("slow", 3, "s", atMost(2), 0)}
	var out bytes.Buffer
	printTable(&out, rows)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "ok") || !strings.HasSuffix(lines[2], "MISSED") {
		t.Errorf("got\n%s", out.String())
	}
	if got := missed(rows); len(got) != 1 || got[0] != "slow" {
		t.Errorf("missed %v", got)
	}
	if got := rows[0].String(); got != "quick: 1 s, floor ≤ 2 s, baseline 4 s, ratio 0.25: ok" {
		t.Errorf("got %q", got)
	}
}
