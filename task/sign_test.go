package task

import (
	"encoding/json"
	"strings"
	"testing"

	"debusine"
)

const (
	uefiKey    = `"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`
	openPGPKey = `"0123456789abcdef0123456789abcdef01234567"`
)

func TestSign(t *testing.T) {
	many := signParsed(t, `{"purpose": "uefi", "unsigned": [5, "internal@collections/name:x"], "key": `+uefiKey+`, "mode": "attached"}`)
	one := signParsed(t, `{"purpose": "openpgp", "unsigned": 5, "key": `+openPGPKey+`}`)
	if len(many.Unsigned) != 2 || many.Mode != "attached" || many.SigningKey() != strings.ToUpper(strings.Trim(uefiKey, `"`)) {
		t.Errorf("%+v", many)
	}
	if len(one.Unsigned) != 1 || one.Unsigned[0] != debusine.LookupOf("5") || one.Mode != "detached" {
		t.Errorf("%+v", one)
	}
	need := many.Needs()[0]
	if need.Field != "input_unsigned_ids" || !need.Many || need.Categories[0] != debusine.CategorySigningInput || TypeOf("sign") != debusine.SigningTask || len(many.Requires()) > 0 {
		t.Errorf("%+v", need)
	}
	found := func(names ...string) map[string][]debusine.Artifact {
		var all []debusine.Artifact
		for _, name := range names {
			all = append(all, debusine.Artifact{Data: json.RawMessage(`{"binary_package_name": "` + name + `"}`)})
		}
		return map[string][]debusine.Artifact{"input_unsigned_ids": all}
	}
	for want, about := range map[string]Description{"uefi": many.Describe(nil), "uefi shim": many.Describe(found("shim")), "uefi shim and 2 more": many.Describe(found("shim", "grub", "linux"))} {
		if about.ParameterSummary != want {
			t.Errorf("%+v, not %q", about, want)
		}
	}
}

func signParsed(t *testing.T, raw string) *SignData {
	t.Helper()
	d, err := SigningTask("sign")
	if err != nil {
		t.Fatal(err)
	}
	data, err := d.Parse(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	return data.(*SignData)
}

func TestSignRefuses(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"a purpose of Release files":   {`{"purpose": "openpgp-repository", "unsigned": 5, "key": ` + openPGPKey + `}`, "purpose must be uefi or openpgp"},
		"no purpose":                   {`{"unsigned": 5, "key": ` + openPGPKey + `}`, "purpose must be"},
		"nothing to sign":              {`{"purpose": "uefi", "unsigned": [], "key": ` + uefiKey + `}`, "unsigned"},
		"no list of lookups":           {`{"purpose": "uefi", "unsigned": {"a": 1}, "key": ` + uefiKey + `}`, "lookup"},
		"null":                         {`{"purpose": "uefi", "unsigned": null, "key": ` + uefiKey + `}`, "unsigned"},
		"a key of another purpose":     {`{"purpose": "uefi", "unsigned": 5, "key": ` + openPGPKey + `}`, "64 hexadecimal digits"},
		"a key that is none":           {`{"purpose": "openpgp", "unsigned": 5, "key": "archive"}`, "40 hexadecimal digits"},
		"OpenPGP within an executable": {`{"purpose": "openpgp", "unsigned": 5, "mode": "attached", "key": ` + openPGPKey + `}`, "mode must be"},
		"more than can be":             {`{"purpose": "uefi", "unsigned": [` + strings.Repeat("5, ", 1000) + `5], "key": ` + uefiKey + `}`, "1001 entries"},
	} {
		d, err := SigningTask("sign")
		if err == nil {
			_, err = d.Parse(json.RawMessage(c.data))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not about %q", name, err, c.want)
		}
	}
}
