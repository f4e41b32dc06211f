package debusine

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestALookupIsANumberOrAString(t *testing.T) {
	for name, c := range map[string]struct{ raw, text, written string }{
		"a number":                   {`421`, "421", `421`},
		"the largest number":         {`9223372036854775807`, "9223372036854775807", `9223372036854775807`},
		"a number in a string":       {`"421"`, "421", `421`},
		"with zeros in front":        {`"007"`, "7", `7`},
		"a lookup":                   {`"debian/match:codename=bookworm"`, "debian/match:codename=bookworm", `"debian/match:codename=bookworm"`},
		"a number with its category": {`"421@artifacts"`, "421@artifacts", `"421@artifacts"`},
		"an escaped character":       {`"\u0064ebian/x"`, "debian/x", `"debian/x"`},
		"a number that is too large": {`"9223372036854775808"`, "9223372036854775808", `"9223372036854775808"`},
		"nothing":                    {`null`, "", `null`},
	} {
		var l Lookup
		if err := json.Unmarshal([]byte(c.raw), &l); err != nil || l.String() != c.text || l.IsZero() != (c.text == "") {
			t.Errorf("%s: read as %q, %v", name, l, err)
		}
		written, err := json.Marshal(l)
		if err != nil || string(written) != c.written {
			t.Errorf("%s: written as %s, %v", name, written, err)
		}
		var again Lookup
		if err := json.Unmarshal(written, &again); err != nil || again != l {
			t.Errorf("%s: read again as %q, %v", name, again, err)
		}
	}
}

func TestWhatIsNoLookupIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"zero":                     `0`,
		"a negative number":        `-1`,
		"a negative one in quotes": `"-1"`,
		"zero in quotes":           `"0"`,
		"a fraction":               `1.5`,
		"a power of ten":           `1e3`,
		"a number out of range":    `9223372036854775808`,
		"an empty string":          `""`,
		"blanks":                   `"  \t\n"`,
		"true":                     `true`,
		"a list":                   `[1]`,
		"a dictionary":             `{"collection": "x@debian:suite"}`,
		"a huge list":              `[` + strings.Repeat(`1,`, 100_000) + `1]`,
	} {
		l := LookupOf("untouched")
		err := json.Unmarshal([]byte(raw), &l)
		if !as[Invalid](err) || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", name, err)
		}
		if l.String() != "untouched" {
			t.Errorf("%s: it was refused and became %q", name, l)
		}
	}
}

func TestALookupOfNullForgetsWhatItWas(t *testing.T) {
	l := LookupID(7)
	if l.String() != "7@artifacts" {
		t.Errorf("the lookup of artifact 7 is %q", l)
	}
	if err := json.Unmarshal([]byte("null"), &l); err != nil || !l.IsZero() {
		t.Errorf("%q, %v", l, err)
	}
}

func FuzzLookupReadsWhatItWrites(f *testing.F) {
	for _, seed := range []string{`1`, `"x"`, `"-1"`, `null`, `"007"`, `"\u0000"`, `"\ud800"`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var l, again Lookup
		if json.Unmarshal(raw, &l) != nil {
			return
		}
		written, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil || again != l {
			t.Errorf("%s became %s and then %q, %v", raw, written, again, err)
		}
	})
}
