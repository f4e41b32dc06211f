package debusine

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// cronField is one of the five fields of a cron expression.
type cronField struct {
	name     string
	from, to int
	words    string // names for the values, of three letters each
}

// cronFields are in the order of crontab(5). A Sunday is 0, not 7: in Temporal,
// which reads the expression in the end, a range never passes Saturday.
var cronFields = []cronField{
	{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day of the month", 1, 31, ""},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"day of the week", 0, 6, "sunmontuewedthufrisat"},
}

var (
	cronPart = regexp.MustCompile(`^(\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?$`)
)

// longestCron bounds an expression, in bytes.
const longestCron = 200

// Cron is a cron expression as it was read: the values of each field, as bits, in
// the order of crontab(5).
type Cron [5]uint64

// ParseCron reads a cron expression of five fields, and refuses moments that never
// come. Temporal takes more forms; what this accepts, it reads alike.
func ParseCron(text string) (c Cron, err error) {
	bad := func(format string, args ...any) error {
		what := fmt.Sprintf(format, args...)
		return Invalid{What: fmt.Sprintf("cron %.80q: %s", text, what), Per: map[string]string{"cron": what},
			Hint: "five fields: minute hour day-of-month month day-of-week, in UTC; for example '0 3 * * 1', Mondays at three"}
	}
	fields := strings.Fields(text)
	if len(fields) != len(c) || len(text) > longestCron || strings.Join(fields, " ") != text {
		return c, bad("there must be five fields with one blank between them")
	}
	for i, field := range cronFields {
		set, what := field.read(strings.ToLower(fields[i]))
		if what != "" {
			return c, bad("%s: %s", field.name, what)
		}
		c[i] = set
	}
	if !c.comes() {
		return c, bad("this day never comes")
	}
	return c, nil
}

// read gives the values of a field as bits, or what is wrong with it.
func (f cronField) read(text string) (set uint64, wrong string) {
	for part := range strings.SplitSeq(text, ",") {
		m := cronPart.FindStringSubmatch(part)
		if m == nil {
			return 0, fmt.Sprintf("%.20q is neither *, a number, a range nor a step", part)
		}
		from, to, step := f.from, f.to, 1
		if m[1] != "*" {
			if from = f.value(m[2]); from < 0 {
				return 0, fmt.Sprintf("%s does not lie between %d and %d", m[2], f.from, f.to)
			}
			if to = from; m[3] != "" {
				to = f.value(m[3])
			} else if m[4] != "" {
				to = f.to
			}
		}
		if to < from {
			return 0, fmt.Sprintf("%.20q is not a range between %d and %d", part, f.from, f.to)
		}
		if m[4] != "" {
			if step, _ = strconv.Atoi(m[4]); step == 0 {
				return 0, "a step of 0 leads nowhere"
			}
		}
		for v := from; v <= to; v += step {
			set |= 1 << v
		}
	}
	return set, ""
}

// value reads a number or a name; -1 when it is neither.
func (f cronField) value(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		if n < f.from || n > f.to {
			return -1
		}
		return n
	}
	if at := strings.Index(f.words, text); at >= 0 && at%3 == 0 {
		return f.from + at/3
	}
	return -1
}

// comes says whether there is such a day. The calendar repeats after 28 years, as
// long as no leap year is left out, and none is before 2100.
func (c Cron) comes() bool {
	day := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for end := day.AddDate(28, 0, 0); day.Before(end); day = day.AddDate(0, 0, 1) {
		if c[2]&(1<<day.Day()) != 0 && c[3]&(1<<int(day.Month())) != 0 && c[4]&(1<<int(day.Weekday())) != 0 {
			return true
		}
	}
	return false
}
