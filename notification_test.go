package debusine_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"debusine"
)

func TestMailAddresses(t *testing.T) {
	for text, good := range map[string]bool{
		"root@localhost":                         true,
		"builds@example.org":                     true,
		"Build Team <builds+sid@example.org>":    true,
		`"Müller, A." <a.mueller@example.org>`:   true,
		"":                                       false,
		"nobody":                                 false,
		"a@b@c":                                  false,
		"<a@example.org>, <b@example.org>":       false,
		"a@example.org\r\nBcc: b@example.org":    false,
		"a@example.org\nRCPT TO:<b@example.org>": false,
		`"a b"@example.org`:                      false,
		"a@exämple.org":                          false,
		"a@example.org>":                         false,
		"Bell\x07 <a@example.org>":               false,
		strings.Repeat("a", 65) + "@example.org": false,
		strings.Repeat("N", 400) + " <a@b.org>":  false,
	} {
		if _, err := debusine.MailAddress(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSubjectsTellIDAndResult(t *testing.T) {
	for subject, want := range map[string]string{
		"":                    "Work request 12 ended: failure",
		"WR $work_request_id": "WR 12",
		"${work_request_id}: ${work_request_result}!": "12: failure!",
		"$work_request_result.":                       "failure.",
		"$work_request_ids":                           "$work_request_ids",
		"costs $5, $$work_request_id, ${HOME}":        "costs $5, $work_request_id, ${HOME}",
	} {
		if got := (debusine.Message{Subject: subject}).Title(12, "failure"); got != want {
			t.Errorf("%q: %q, wanted %q", subject, got, want)
		}
	}
}

func TestWhatIsSaidGoesOverTheChannel(t *testing.T) {
	base := debusine.Message{From: "a@x.org", To: []string{"b@x.org"}, CC: []string{"c@x.org"}, Subject: "s"}
	if got := (debusine.Message{}).Over(base); !reflect.DeepEqual(got, base) {
		t.Errorf("%+v", got)
	}
	got := debusine.Message{To: []string{"d@x.org"}, CC: []string{}, Subject: "t"}.Over(base)
	if got.From != "a@x.org" || !slices.Equal(got.To, []string{"d@x.org"}) || len(got.CC) != 0 || got.Subject != "t" {
		t.Errorf("%+v", got)
	}
}

func TestASubjectIsOneLine(t *testing.T) {
	for _, subject := range []string{"a\r\nBcc: x@example.org", "a\nb", "a\x00b", "a\u2028b", strings.Repeat("x", 201)} {
		if (debusine.Message{Subject: subject}).Check() == nil {
			t.Errorf("%q was accepted", subject)
		}
	}
}
