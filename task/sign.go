package task

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"debusine"
)

// SignData is the input of sign (Signing): spec §3.10.
type SignData struct {
	common
	Purpose  string  `json:"purpose"`        // uefi, openpgp
	Unsigned lookups `json:"unsigned"`       // debusine:signing-input
	Key      string  `json:"key"`            // fingerprint
	Mode     string  `json:"mode,omitempty"` // ours: detached, or for uefi attached; default detached
}

// lookups is a list of lookups, or one that stands alone, as sign took it once.
type lookups []debusine.Lookup

// UnmarshalJSON reads either.
func (l *lookups) UnmarshalJSON(raw []byte) error {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] != '[' && string(raw) != "null" {
		*l = make(lookups, 1)
		return json.Unmarshal(raw, &(*l)[0])
	}
	return json.Unmarshal(raw, (*[]debusine.Lookup)(l))
}

func (d *SignData) check() error {
	if err := checkMany("unsigned", d.Unsigned); err != nil {
		return err
	}
	if d.Mode == "" {
		d.Mode = "detached"
	}
	if d.Mode != "detached" && (d.Mode != "attached" || d.Purpose != "uefi") {
		return debusine.Invalid{What: fmt.Sprintf("mode must be detached, or for uefi attached, not %.80q", d.Mode), Per: map[string]string{"mode": "unknown"}}
	}
	return checkSigning(d.Purpose, &d.Key)
}

// checkSigning checks the purpose of a key that signs files, and its fingerprint,
// whose letters become large.
func checkSigning(purpose string, key *string) error {
	digits := map[string]int{"uefi": 64, "openpgp": 40}[purpose]
	if digits == 0 {
		return debusine.Invalid{What: fmt.Sprintf("purpose must be uefi or openpgp, not %.80q", purpose), Per: map[string]string{"purpose": "unknown"}}
	}
	*key = strings.ToUpper(*key)
	if raw, err := hex.DecodeString(*key); err != nil || 2*len(raw) != digits {
		return debusine.Invalid{What: fmt.Sprintf("key must be a fingerprint of %d hexadecimal digits for the purpose %s, not %.80q", digits, purpose, *key), Hint: "debusine asset list",
			Per: map[string]string{"key": "no fingerprint"}}
	}
	return nil
}

// SigningKey is the fingerprint of the key that the data ask for.
func (d *SignData) SigningKey() string { return d.Key }

// Needs the artifacts that hold what is to be signed.
func (d *SignData) Needs() []Need {
	return []Need{{Field: "input_unsigned_ids", Lookups: d.Unsigned, Many: true, Categories: []string{debusine.CategorySigningInput}}}
}

// Requires no tags: signing workers have a queue of their own.
func (d *SignData) Requires() []string { return nil }

// Describe names the packages that the files are of.
func (d *SignData) Describe(found map[string][]debusine.Artifact) Description {
	var names []string
	for _, a := range found["input_unsigned_ids"] {
		var input debusine.SigningInputData
		_ = json.Unmarshal(a.Data, &input) // validated when the artifact was made
		if input.BinaryPackageName != "" {
			names = append(names, input.BinaryPackageName)
		}
	}
	about := Description{ParameterSummary: d.Purpose}
	if len(names) > 0 {
		about.Subject, about.ParameterSummary = names[0], d.Purpose+" "+names[0]
	}
	if more := len(names) - 1; more > 0 {
		about.ParameterSummary += fmt.Sprintf(" and %d more", more)
	}
	return about
}
