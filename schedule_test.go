package debusine

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestIntervals(t *testing.T) {
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "90s": 90 * time.Second} {
		got, err := ParseEvery(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseEvery(FormatEvery(got)); err != nil || again != got {
			t.Errorf("%s is written as %s, which is %v: %v", text, FormatEvery(got), again, err)
		}
	}
	for text, want := range map[string]string{"": "is not", "7": "is not", "d": "is not", "-1d": "is not", "1.5h": "is not", "1h ": "is not", "1h\n": "is not", "1y": "is not",
		"0s": "no time", "0h0m": "no time", "999999999w": "too long", "11000d": "too long", "999999999s999999999s": "too long", strings.Repeat("1s", 30): "is not"} {
		_, err := ParseEvery(text)
		var invalid Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) || invalid.Hint == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The first moment comes one interval after the schedule was made, whatever the
// epoch says.
func TestAnIntervalBeginsWhenItIsMade(t *testing.T) {
	made := time.Date(2026, 11, 28, 19, 3, 7, 0, time.UTC)
	s := Schedule{Every: 7 * 24 * time.Hour, CreatedAt: made}
	if s.Offset() < 0 || s.Offset() >= s.Every || (made.Unix()-int64(s.Offset()/time.Second))%int64(s.Every/time.Second) != 0 {
		t.Errorf("offset %v", s.Offset())
	}
	if got := (Schedule{Cron: "0 3 * * *", CreatedAt: made}).Offset(); got != 0 {
		t.Errorf("cron has offset %v", got)
	}
}

// One missed moment lies within the time that is made good, not many.
func TestWhatIsMadeGood(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		want time.Duration
	}{{Schedule{Every: 7 * 24 * time.Hour}, 7 * 24 * time.Hour}, {Schedule{Every: 2 * time.Second}, time.Minute}, {Schedule{Cron: "0 3 * * *"}, 31 * 24 * time.Hour}} {
		if got := c.s.CatchUp(); got != c.want {
			t.Errorf("%+v: %v", c.s, got)
		}
	}
}

func TestFaultsAreToldFromOutages(t *testing.T) {
	for _, err := range []error{Missingf("x"), Invalidf("x"), Forbiddenf("x"), Conflictf("x")} {
		if !IsFault(err) || !IsFault(errors.Join(errors.New("while"), err)) {
			t.Errorf("%T is no fault", err)
		}
	}
	if IsFault(nil) || IsFault(errors.New("the line is cut")) {
		t.Error("an outage is a fault")
	}
}
