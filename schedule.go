package debusine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Schedule starts a workflow template again and again, on behalf of who made it.
type Schedule struct {
	ID          int64
	WorkspaceID int64
	Scope       string
	Workspace   string
	Name        string
	Template    string // its name: it is looked up at each run
	Data        map[string]json.RawMessage
	Every       time.Duration // or Cron
	Cron        string        // five fields, UTC
	Paused      bool
	CreatedByID int64
	CreatedBy   string
	CreatedAt   time.Time
	Revision    int64  // counts changes
	Applied     int64  // the revision that Temporal has
	Deleted     bool   // and Temporal may not know it
	Refused     string // why Temporal does not take it
}

// ScheduleRun is what came of one moment of a schedule.
type ScheduleRun struct {
	At          time.Time  // when it was to be
	Outcome     RunOutcome //
	Message     string     // why nothing was started
	WorkRequest *int64     // the root that was started
	Status      Status     // of that, as it stands
	Result      Result
	Manual      bool // a person asked for it
}

// RunOutcome says what a schedule did at one of its moments.
type RunOutcome string

// The outcomes of a run.
const (
	RunStarted RunOutcome = "started"
	RunSkipped RunOutcome = "skipped" // the run before is under way, or a later one took its place
	RunFailed  RunOutcome = "failed"  // nothing could be started; the message says why
)

// MostRuns is how many runs of a schedule are remembered.
const MostRuns = 100

// longestEvery bounds an interval: nobody waits for ten years.
const longestEvery = 10 * 366 * 24 * time.Hour

var (
	everyForm = regexp.MustCompile(`^([0-9]{1,9}[smhdw])+$`)
	everyPart = regexp.MustCompile(`[0-9]+[smhdw]`)
)

// ParseEvery reads an interval of whole seconds: 30m, 12h, 7d, 1w, 1d12h.
func ParseEvery(text string) (time.Duration, error) {
	bad := func(what string) error {
		return Invalid{What: fmt.Sprintf("every %.40q %s", text, what), Hint: "for example 30m, 12h, 7d or 2w", Per: map[string]string{"every": what}}
	}
	if !everyForm.MatchString(text) || len(text) > 40 {
		return 0, bad("is not an interval")
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var sum time.Duration
	for _, part := range everyPart.FindAllString(text, -1) {
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 64)
		unit := units[part[len(part)-1]]
		if err != nil || n > int64(longestEvery/unit) {
			return 0, bad("is too long")
		}
		if sum += time.Duration(n) * unit; sum > longestEvery {
			return 0, bad("is too long")
		}
	}
	if sum < time.Second {
		return 0, bad("is no time at all")
	}
	return sum, nil
}

// FormatEvery writes an interval as ParseEvery reads it.
func FormatEvery(every time.Duration) string {
	var text strings.Builder
	for _, u := range []struct {
		name string
		long time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := every / u.long; n > 0 {
			fmt.Fprintf(&text, "%d%s", n, u.name)
			every -= n * u.long
		}
	}
	return text.String()
}

// CatchUp is how late a moment may be when Temporal was away at its time: of the
// missed ones within it, one is made good.
func (s Schedule) CatchUp() time.Duration {
	if s.Every > 0 {
		return max(s.Every, time.Minute)
	}
	return 31 * 24 * time.Hour
}

// Offset is where in an interval the moments lie: the first comes one interval
// after the schedule was made.
func (s Schedule) Offset() time.Duration {
	if s.Every < time.Second {
		return 0
	}
	return time.Duration(s.CreatedAt.Unix()%int64(s.Every/time.Second)) * time.Second
}
