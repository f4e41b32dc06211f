package task

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"
	"gopkg.in/yaml.v3"

	"debusine"
)

// The stack makes the attributes that the file names; what is set and not made
// would keep the execution from starting.
func TestTheSearchAttributesAreThoseThatTheStackMakes(t *testing.T) {
	raw, err := os.ReadFile("../temporal-config/search-attributes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var made map[string]string
	if err := yaml.Unmarshal(raw, &made); err != nil {
		t.Fatal(err)
	}
	about := Description{Source: "hello", Version: "2.10-3", Suite: "trixie", Architecture: "amd64,all"}
	updates := append(PlaceAttributes("debian", "System", 12), about.Attributes()...)
	set := temporal.NewSearchAttributes(append(updates, ResultAttribute(debusine.Success))...)
	for key, value := range set.GetUntypedValues() {
		if made[key.GetName()] != key.GetValueType().String() {
			t.Errorf("%s = %v is of type %s, and made as %q", key.GetName(), value, key.GetValueType(), made[key.GetName()])
		}
		delete(made, key.GetName())
	}
	if len(made) > 0 {
		t.Errorf("nobody sets %v", made)
	}
	if archs, _ := set.GetKeywordList(architectureAttribute); len(archs) != 2 || archs[0] != "amd64" {
		t.Errorf("architectures %q", archs)
	}
}

func TestWhatIsNotKnownIsNotSet(t *testing.T) {
	if known := (Description{}).Attributes(); len(known) != 0 {
		t.Errorf("%d attributes of nothing", len(known))
	}
}

func TestAnUploadedNameStaysALineOfText(t *testing.T) {
	for text, want := range map[string]string{
		"hello_2.10-3+b1~rc:1":          "hello_2.10-3+b1~rc:1",
		"[a](http://x) <b>\n# c":        " a  http://x   b  # c",
		strings.Repeat("ä", 1000):       strings.Repeat("ä", 125) + "…",
		"x" + strings.Repeat("ä", 1000): "x" + strings.Repeat("ä", 124) + "…",
		"\xff":                          " ",
	} {
		if got := Plain(text); got != want {
			t.Errorf("%.30q became %q", text, got)
		}
	}
	for r := range rune(0x3000) {
		raw, err := json.Marshal(Plain(strings.Repeat(string(r), 400)))
		if err != nil || len(raw) > 300 {
			t.Errorf("of %q come %d bytes of JSON (%v)", r, len(raw), err)
		}
	}
}

func TestAKeywordFitsIntoTemporalsTables(t *testing.T) {
	for _, text := range []string{strings.Repeat("ä", 4000), "a\x00b", "\xff\xfe" + strings.Repeat("x", 300)} {
		got := keyword(text)
		if utf8.RuneCountInString(got) > 255 || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%.20q became %.40q", text, got)
		}
	}
}
