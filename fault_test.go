package debusine

import (
	"errors"
	"fmt"
	"testing"
)

func TestEachFaultIsFoundThroughWhatWasBeingDone(t *testing.T) {
	for name, c := range map[string]struct {
		fault error
		words string
		is    func(error) bool
	}{
		"missing":   {Missingf("artifact %d", 12), "artifact 12 not found", as[Missing]},
		"invalid":   {Invalidf("architecture %q is unknown", "amd46"), `architecture "amd46" is unknown`, as[Invalid]},
		"forbidden": {Forbiddenf("only an %s may do this", "owner"), "only an owner may do this", as[Forbidden]},
		"conflict":  {Conflictf("work request %d has ended", 7), "work request 7 has ended", as[Conflict]},
	} {
		wrapped := fmt.Errorf("reading hello.changes: %w", fmt.Errorf("twice: %w", c.fault))
		if c.fault.Error() != c.words {
			t.Errorf("%s: the words are %q", name, c.fault)
		}
		if !c.is(wrapped) {
			t.Errorf("%s: %v is not found", name, wrapped)
		}
		kinds := 0
		for _, is := range []func(error) bool{as[Missing], as[Invalid], as[Forbidden], as[Conflict]} {
			if is(wrapped) {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s: %d kinds of fault are found", name, kinds)
		}
	}
}

func as[T error](err error) bool {
	var fault T
	return errors.As(err, &fault)
}

func TestAPercentSignInAFaultIsNoFormat(t *testing.T) {
	if err := Invalidf("%s", "100%d"); err.Error() != "100%d" {
		t.Errorf("%q", err)
	}
}

func TestAHintIsAddedToFaultsAlone(t *testing.T) {
	for _, err := range []error{Missing{What: "x"}, Invalid{What: "x"}, Forbidden{What: "x"}, Conflict{What: "x", Hint: "the old one"}} {
		hinted := WithHint(fmt.Errorf("wrapped: %w", err), "do that")
		var hint string
		switch f := hinted.(type) {
		case Missing:
			hint = f.Hint
		case Invalid:
			hint = f.Hint
		case Forbidden:
			hint = f.Hint
		case Conflict:
			hint = f.Hint
		}
		if hint != "do that" || hinted.Error() != "wrapped: "+err.Error() {
			t.Errorf("%#v became %#v", err, hinted)
		}
	}
	outage := errors.New("connection refused")
	if err := WithHint(outage, "do that"); err != outage {
		t.Errorf("an outage became %#v", err)
	}
	if WithHint(nil, "do that") != nil {
		t.Error("no error became one")
	}
}

func TestAHintKeepsTheMessagesOfTheFields(t *testing.T) {
	err := WithHint(Invalid{What: "x", Per: map[string]string{"field": "required"}}, "do that")
	var invalid Invalid
	if !errors.As(err, &invalid) || invalid.Per["field"] != "required" {
		t.Errorf("%#v", err)
	}
}
