package dput

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"

	"debusine"
	"debusine/debian"
)

// IsControl says whether a file of an upload is one that is signed: .changes,
// .dsc, .buildinfo.
func IsControl(name string) bool {
	return slices.Contains([]string{".dsc", ".buildinfo", ".changes"}, path.Ext(name))
}

// Open gives the text of a clear-signed control file and the fingerprints of the
// keyring's certificates that signed it. One that is not signed, or that nobody of
// the keyring signed, is a fault.
func (k *Keyring) Open(raw []byte) (text []byte, signers []string, err error) {
	if k == nil || len(k.keys) == 0 {
		return nil, nil, debusine.Invalidf("there is no keyring to judge signatures by")
	}
	text, signers, err = k.open(raw)
	if err != nil {
		return nil, nil, debusine.Invalidf("%v", err)
	}
	if len(signers) == 0 {
		return nil, nil, debusine.Invalidf("it is not signed")
	}
	return text, signers, nil
}

// Resigned judges control files that a person signed, by name, against those
// that were to be signed: the same names; the .changes and the .dsc signed, each by
// somebody of the keyring; and in each nothing else changed than the digests of the
// others. It gives who signed. Errors are faults.
func Resigned(before, after map[string][]byte, k *Keyring) (signers []string, err error) {
	names := slices.Sorted(maps.Keys(before))
	if !slices.Equal(names, slices.Sorted(maps.Keys(after))) {
		return nil, debusine.Invalidf("the signed upload has other control files than the one to be signed")
	}
	seen := map[string][]byte{}
	for _, name := range SigningOrder(names) {
		who, err := resignedOne(name, before[name], after[name], seen, k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, w := range who {
			if !slices.Contains(signers, w) {
				signers = append(signers, w)
			}
		}
		seen[name] = after[name]
	}
	return signers, nil
}

// SigningOrder puts control files each after those that it lists.
func SigningOrder(names []string) []string {
	rank := []string{".dsc", ".buildinfo", ".changes"}
	names = slices.Sorted(slices.Values(names))
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index(rank, path.Ext(a)) - slices.Index(rank, path.Ext(b))
	})
	return names
}

// Unsigned is the text of a control file without the signature that it may have, in
// which the files that were signed before it have their new digests.
func Unsigned(raw []byte, signed map[string][]byte) ([]byte, error) {
	text, err := debian.ReadClearsigned(bytes.NewReader(raw), longestControl)
	if err != nil {
		return nil, debusine.Invalidf("what is to be signed cannot be read: %v", err)
	}
	return debian.Relist(text, signed)
}

func resignedOne(name string, before, after []byte, listed map[string][]byte, k *Keyring) (signers []string, err error) {
	want, err := Unsigned(before, listed)
	if err != nil {
		return nil, err
	}
	text, signers, err := k.Open(after)
	// A .buildinfo may be left unsigned, as debsign did before it knew them.
	if err != nil && path.Ext(name) == ".buildinfo" && !bytes.Contains(after, []byte("-----BEGIN PGP")) {
		text, err = after, nil
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(settled(text), settled(want)) {
		return nil, debusine.WithHint(debusine.Invalidf("more than its signature and the digests of signed files was changed"),
			"sign the files as they were downloaded")
	}
	return signers, nil
}

// settled is a text without what signing may do to it: ends of lines, blanks at
// them, and empty lines at its end (RFC 9580, section 7.2).
func settled(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		out.Write(bytes.TrimRight(line, " \t\r\n"))
		out.WriteByte('\n')
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}
