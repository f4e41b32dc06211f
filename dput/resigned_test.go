package dput_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"debusine/dput"
)

// resign signs control files as a person does who was sent them.
func (p person) resign(t *testing.T, before map[string][]byte) map[string][]byte {
	t.Helper()
	after := map[string][]byte{}
	for _, name := range dput.SigningOrder(slices.Collect(maps.Keys(before))) {
		text, err := dput.Unsigned(before[name], after)
		if err != nil {
			t.Fatal(err)
		}
		after[name] = p.clearsign(t, text)
	}
	return after
}

func TestWhatAPersonSignedIsJudged(t *testing.T) {
	ana, bob := someoneWithAKey(t, "ana"), someoneWithAKey(t, "bob")
	s := makeSource(t, "1.0-1", "-sa")
	before := map[string][]byte{s.dsc: s.read(t, s.dsc), s.changes: s.read(t, s.changes)}
	good := ana.resign(t, before)
	with := func(name string, content []byte) map[string][]byte {
		changed := maps.Clone(good)
		changed[name] = content
		return changed
	}
	resigned := func(name, from, to string) map[string][]byte {
		text, err := dput.Unsigned(before[name], map[string][]byte{s.dsc: good[s.dsc]})
		if err != nil || !bytes.Contains(text, []byte(from)) {
			t.Fatalf("%v in %s", err, text)
		}
		return with(name, ana.clearsign(t, bytes.Replace(text, []byte(from), []byte(to), 1)))
	}
	for name, c := range map[string]struct {
		after map[string][]byte
		by    *dput.Keyring
		want  string // in the fault; empty: it is good
	}{
		"all signed":                           {good, ana.keyring(t), ""},
		"signed by a key that nobody knows":    {good, bob.keyring(t), "not good by the keyring"},
		"nobody is known":                      {good, nil, "no keyring"},
		"a .changes that is not signed":        {with(s.changes, before[s.changes]), ana.keyring(t), "not signed"},
		"a .dsc that is not signed":            {with(s.dsc, before[s.dsc]), ana.keyring(t), "not signed"},
		"another distribution":                 {resigned(s.changes, "Distribution: unstable", "Distribution: bookworm-security"), ana.keyring(t), "more than its signature"},
		"a file more":                          {resigned(s.changes, "Files:\n", "Files:\n 00000000000000000000000000000000 1 misc optional evil.deb\n"), ana.keyring(t), "more than its signature"},
		"a build-dependency less":              {resigned(s.dsc, "Standards-Version: 4.6.2\n", ""), ana.keyring(t), "more than its signature"},
		"the digests of the unsigned .dsc":     {with(s.changes, ana.clearsign(t, before[s.changes])), ana.keyring(t), "more than its signature"},
		"a signature whose text was changed":   {with(s.changes, bytes.Replace(good[s.changes], []byte("unstable"), []byte("testing!"), 1)), ana.keyring(t), "not good by the keyring"},
		"text before the signature":            {with(s.changes, append([]byte("Distribution: evil\n"), good[s.changes]...)), ana.keyring(t), ""},
		"a control file less":                  {map[string][]byte{s.changes: good[s.changes]}, ana.keyring(t), "other control files"},
		"line ends of another system, at most": {with(s.changes, ana.clearsign(t, bytes.ReplaceAll(mustUnsigned(t, before[s.changes], s.dsc, good[s.dsc]), []byte("\n"), []byte("  \n")))), ana.keyring(t), ""},
	} {
		t.Run(name, func(t *testing.T) {
			signers, err := dput.Resigned(before, c.after, c.by)
			if strings.HasPrefix(name, "text before") {
				if err == nil {
					t.Error("it is taken")
				}
				return
			}
			switch {
			case c.want == "" && (err != nil || len(signers) != 1 || len(signers[0]) != 40):
				t.Errorf("%v, signed by %q", err, signers)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, which does not say %q", err, c.want)
			}
		})
	}
}

func mustUnsigned(t *testing.T, raw []byte, name string, signed []byte) []byte {
	t.Helper()
	text, err := dput.Unsigned(raw, map[string][]byte{name: signed})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
