package debusine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"debusine"
)

func TestARunIsNamedByItsSeries(t *testing.T) {
	for name, c := range map[string]struct{ subject, context, want string }{
		"a build":              {"hello", "any:amd64:amd64", "Worker:sbuild:hello:any%3Aamd64%3Aamd64:"},
		"without both":         {"", "", "Worker:sbuild:::"},
		"a slash and a colon":  {"a/b:c", "", "Worker:sbuild:a%2Fb%3Ac::"},
		"what is not ASCII":    {"ü", "+", "Worker:sbuild:%C3%BC:%2B:"},
		"what stays as it is":  {"lib_x.y-z~1", "", "Worker:sbuild:lib_x.y-z~1::"},
		"a percent sign":       {"%3A", "", "Worker:sbuild:%253A::"},
		"a line and a control": {"\n\x1b", "", "Worker:sbuild:%0A%1B::"},
	} {
		r := debusine.HistoricalRun{TaskType: debusine.WorkerTask, TaskName: "sbuild", Subject: c.subject, Context: c.context}
		if got := r.Series(); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestItemsOfAHistory(t *testing.T) {
	good := `{"task_type": "Worker", "task_name": "sbuild", "subject": "hello", "timestamp": 5, "work_request_id": 9, "result": "success", "runtime_statistics": {"duration": 3}}`
	for name, c := range map[string]struct{ data, want string }{
		"a run":                 {good, "Worker:sbuild:hello::9"},
		"no result":             {strings.Replace(good, "success", "splendid", 1), "!unknown"},
		"no work request":       {strings.Replace(good, "9", "0", 1), "!needs"},
		"a name with a colon":   {strings.Replace(good, "sbuild", "s:build", 1), "!needs"},
		"a name with a slash":   {strings.Replace(good, "sbuild", "s/build", 1), "!needs"},
		"a number too large":    {strings.Replace(good, "3}", "1e300}", 1), "!needs"},
		"what it does not know": {strings.Replace(good, "subject", "colour", 1), "!colour"},
	} {
		var variables map[string]any
		if err := json.Unmarshal([]byte(c.data), &variables); err != nil {
			t.Fatal(err)
		}
		got, _, err := debusine.NewItem(debusine.CategoryTaskHistory, debusine.CollectionItem{Kind: "bare", Category: debusine.CategoryHistoricalRun}, variables)
		if fault, wrong := strings.CutPrefix(c.want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, _, err := debusine.NewItem(debusine.CategoryTaskHistory, debusine.CollectionItem{Kind: "artifact", Category: "debian:upload"}, nil); err == nil {
		t.Error("an artifact was taken")
	}
}

func TestStatisticsAreBelievedAsFarAsTheyCanBeTrue(t *testing.T) {
	for name, c := range map[string]struct {
		raw   string
		clock int64
		want  debusine.RuntimeStatistics
	}{
		"sane ones":             {`{"duration": 50, "memory": 100, "cpu_count": 4}`, 60, debusine.RuntimeStatistics{Duration: 50, Memory: 100, CPUCount: 4}},
		"none":                  {`{}`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"no object":             {`"fast"`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"nothing":               {``, 60, debusine.RuntimeStatistics{Duration: 60}},
		"negative ones":         {`{"duration": -5, "memory": -1}`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"longer than it took":   {`{"duration": 61, "duration_run": 1000}`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"huge ones":             {`{"duration": 1e300, "memory": 9223372036854775807, "disk_space": 99999999999999999999}`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"texts and fractions":   {`{"duration": "50", "memory": 1.5, "cpu_time": [], "cpu_count": null}`, 60, debusine.RuntimeStatistics{Duration: 60}},
		"a clock that ran back": {`{"duration": 5}`, -60, debusine.RuntimeStatistics{}},
		"a clock beyond a year": {`{}`, 1 << 60, debusine.RuntimeStatistics{Duration: 366 * 24 * 3600}},
	} {
		if got := debusine.SaneStatistics(json.RawMessage(c.raw), c.clock); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
