package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSizesAndTimesAsPeopleReadThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 3 << 40: "3.0 TiB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{400 * time.Millisecond: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3*time.Hour + 5*time.Minute: "3h05m"} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestATableIsAlignedAndFitsTheTerminal(t *testing.T) {
	var b bytes.Buffer
	o := &output{to: &b, width: 20}
	if err := o.table([]string{"A", "NAME"}, [][]string{{"über", "x"}, {"1", strings.Repeat("long", 10)}}); err != nil {
		t.Fatal(err)
	}
	if want := "A     NAME\nüber  x\n1     longlonglongl…\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestNamesOfOthersCannotSteerATerminal(t *testing.T) {
	for _, evil := range []string{"a\x1b[2Jb", "a\u009b2Jb", "a\u202eb", "a\rb", "a\x00b"} {
		if got := visible(evil); strings.ContainsAny(got, "\x1b\u009b\u202e\r\x00") {
			t.Errorf("%q became %q", evil, got)
		}
	}
	if got := visible("häßlich\n\tgut"); got != "häßlich\n\tgut" {
		t.Errorf("%q", got)
	}
	if got := oneLine("a\nb"); got != "a b" {
		t.Errorf("%q", got)
	}
}

func TestYAMLKeepsTheOrderOfKeys(t *testing.T) {
	got, err := yamlOf([]byte(`{"z": 1, "a": {"c": "yes", "b": [1, "2"]}}`))
	if want := "z: 1\na:\n  c: \"yes\"\n  b:\n    - 1\n    - \"2\"\n"; err != nil || string(got) != want {
		t.Errorf("%q %v", got, err)
	}
}

func TestSettingOneValue(t *testing.T) {
	data := map[string]any{"there": "text"}
	for _, each := range []string{"a.b=[amd64, all]", "a.c=true", "d=2.10-3", "e=debian:trixie", "f={broken", "g="} {
		if err := assign(data, each); err != nil {
			t.Errorf("%s: %v", each, err)
		}
	}
	below := data["a"].(map[string]any)
	if len(below["b"].([]any)) != 2 || below["c"] != true || data["d"] != "2.10-3" || data["e"] != "debian:trixie" || data["f"] != "{broken" || data["g"] != nil {
		t.Errorf("%v", data)
	}
	for _, wrong := range []string{"nothing", "=x", "there.below=1"} {
		if err := assign(data, wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}
