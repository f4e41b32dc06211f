package debusine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The task history of a workspace and its items (spec §1.6, §1.7, §10.2).
const (
	CategoryTaskHistory   = "debusine:task-history"
	CategoryHistoricalRun = "debusine:historical-task-run"
)

// HistoricalRun is one run of a task that its workspace's history remembers.
type HistoricalRun struct {
	TaskType    TaskType          `json:"task_type"`
	TaskName    string            `json:"task_name"`
	Subject     string            `json:"subject,omitempty"`
	Context     string            `json:"context,omitempty"` // the runtime context
	Timestamp   int64             `json:"timestamp"`         // seconds since 1970
	WorkRequest int64             `json:"work_request_id"`
	Result      Result            `json:"result"`
	Statistics  RuntimeStatistics `json:"runtime_statistics"`
}

// Series is what runs have in common that are expected to be alike:
// TYPE:NAME:SUBJECT:CONTEXT: is how the names of their items begin.
func (r HistoricalRun) Series() string {
	return strings.Join([]string{string(r.TaskType), r.TaskName, EscapeWord(r.Subject), EscapeWord(r.Context)}, ":") + ":"
}

// EscapeWord is the percent-encoding that Debusine uses in names: all but
// letters, digits and "_.-~".
func EscapeWord(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.-~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// historicalRun is TYPE:NAME:SUBJECT:CONTEXT:WORKREQUEST; the data are the run.
func (n *naming) historicalRun(item CollectionItem) (string, json.RawMessage, error) {
	if item.Category != CategoryHistoricalRun || item.Kind != "bare" {
		return "", nil, n.refuse(item, "the bare data of category "+CategoryHistoricalRun)
	}
	if err := n.known("task_type", "task_name", "subject", "context", "timestamp", "work_request_id", "result", "runtime_statistics"); err != nil {
		return "", nil, err
	}
	raw, err := json.Marshal(n.variables)
	if err != nil {
		return "", nil, err
	}
	var r HistoricalRun
	if json.Unmarshal(raw, &r) != nil || r.TaskType == "" || r.TaskName == "" || strings.ContainsAny(string(r.TaskType)+r.TaskName, ":/") || r.WorkRequest <= 0 {
		return "", nil, Invalidf("an item of %s needs task_type, task_name, work_request_id, timestamp and result", n.collection)
	}
	if _, err := ParseResult(string(r.Result)); err != nil {
		return "", nil, err
	}
	data, err := json.Marshal(r)
	return r.Series() + strconv.FormatInt(r.WorkRequest, 10), data, err
}

// The largest statistics that are believed: seconds, bytes, processors.
const (
	mostSeconds    = 366 * 24 * 3600
	mostBytes      = 1 << 50
	mostProcessors = 1 << 16
)

// SaneStatistics reads a worker's runtime statistics as far as they can be true:
// what is no whole number, negative or beyond all measure is left out. The
// server's own clock bounds the durations, in seconds.
func SaneStatistics(raw json.RawMessage, clock int64) RuntimeStatistics {
	var given map[string]json.RawMessage
	_ = json.Unmarshal(raw, &given) // what is no object says nothing
	upTo := func(key string, most int64) int64 {
		var n int64
		if json.Unmarshal(given[key], &n) != nil || n < 0 || n > most {
			return 0
		}
		return n
	}
	clock = max(0, min(clock, mostSeconds))
	s := RuntimeStatistics{Duration: upTo("duration", clock), DurationSetup: upTo("duration_setup", clock), DurationRun: upTo("duration_run", clock),
		DurationTeardown: upTo("duration_teardown", clock), CPUTime: upTo("cpu_time", mostSeconds*mostProcessors), CPUTimeUser: upTo("cpu_time_user", mostSeconds*mostProcessors),
		CPUTimeSystem: upTo("cpu_time_system", mostSeconds*mostProcessors), DiskSpace: upTo("disk_space", mostBytes), Memory: upTo("memory", mostBytes),
		AvailableDisk: upTo("available_disk_space", mostBytes), AvailableMemory: upTo("available_memory", mostBytes), CPUCount: upTo("cpu_count", mostProcessors)}
	if s.Duration == 0 {
		s.Duration = clock
	}
	return s
}
