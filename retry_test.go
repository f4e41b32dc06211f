package debusine

import (
	"testing"
	"time"
)

func TestARetryIsToldInASentence(t *testing.T) {
	due := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	for want, r := range map[string]*Retry{
		"": nil,
		"retry 2 of 3 is due at 2026-11-28 20:00:00 UTC, after a failure of class network": {Stands: "waiting", Number: 2, Of: 3, Due: &due, Reason: "a failure of class network"},
		"no further retry after 1 of 3: given up":                                          {Stands: "over", Number: 1, Of: 3, Reason: "given up"},
		"this is retry 1 of 3": {Stands: "trying", Number: 1, Of: 3},
	} {
		if r.String() != want {
			t.Errorf("%+v says %q, not %q", r, r, want)
		}
	}
	if (&Retry{Stands: "trying"}).String() != "" || (&Retry{Stands: "over"}).String() != "" {
		t.Error("a first try, or a success, says something")
	}
}

func TestAFailureIsToldInAWord(t *testing.T) {
	for want, f := range map[string]*BuildFailure{
		"": nil, "disk, which time may mend": {Class: FailedDisk, MendsWithTime: true}, "test-suite": {Class: FailedTestSuite},
	} {
		if f.String() != want {
			t.Errorf("%+v says %q, not %q", f, f, want)
		}
	}
	if FailureClass("moon-phase").Known() || !FailedUnknown.Known() || len(FailureClasses()) != 10 {
		t.Errorf("classes %v", FailureClasses())
	}
}
