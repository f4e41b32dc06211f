package task

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"debusine"
)

// signingTasks is the catalogue of what signing workers can do.
var signingTasks = map[string]Definition{
	"generatekey": {"generatekey", "makes a signing key (debusine:signing-key)", 10 * time.Minute, parser[GenerateKeyData]()},
	"debsign":     {"debsign", "signs an upload: its .dsc, .buildinfo and .changes", 10 * time.Minute, parser[DebsignData]()},
	"sign":        {"sign", "signs files: executables for Secure Boot, or any with OpenPGP", 6 * time.Hour, parser[SignData]()},
}

// SigningTask gives the definition of a signing task by name.
func SigningTask(name string) (Definition, error) {
	d, ok := signingTasks[Canonical(name)]
	if !ok {
		return d, debusine.WithHint(debusine.Invalidf("signing task %.80q is unknown", name), "known: "+strings.Join(SigningTasks(), ", "))
	}
	return d, nil
}

// SigningTasks are the names of all signing tasks, sorted.
func SigningTasks() []string {
	return slices.Sorted(maps.Keys(signingTasks)) //workflowcheck:ignore (sorted)
}

// GenerateKeyData is the input of generatekey: spec §3.10. The key belongs to the
// workspace of the work request.
type GenerateKeyData struct {
	common
	Purpose     string `json:"purpose"`             // openpgp, openpgp-repository, uefi
	Storage     string `json:"storage,omitempty"`   // nacl
	Algorithm   string `json:"algorithm,omitempty"` // ours; default: ed25519, for uefi rsa2048
	Name        string `json:"name,omitempty"`      // ours: the user id, or common name
	Description string `json:"description"`
	TwoPersons  bool   `json:"two_persons,omitempty"` // ours: signing waits for a second person
}

func (d *GenerateKeyData) check() error {
	switch {
	case !slices.Contains([]string{"openpgp", "openpgp-repository", "uefi"}, d.Purpose):
		return debusine.Invalid{What: fmt.Sprintf("purpose must be openpgp, openpgp-repository or uefi, not %.80q", d.Purpose), Per: map[string]string{"purpose": "unknown"}}
	case d.Storage != "" && d.Storage != "nacl":
		return debusine.Invalid{What: "storage must be nacl", Hint: "a key in hardware is registered on the signing worker's machine: debusine admin key register", Per: map[string]string{"storage": "unknown"}}
	case !slices.Contains([]string{"", "ed25519", "rsa2048", "rsa4096"}, d.Algorithm):
		return debusine.Invalid{What: fmt.Sprintf("algorithm %.80q is unknown", d.Algorithm), Per: map[string]string{"algorithm": "unknown"}}
	case len(d.Name) > 200 || len(d.Description) > 1000:
		return debusine.Invalidf("name may have 200 bytes, description 1000")
	}
	return nil
}

// Needs nothing.
func (d *GenerateKeyData) Needs() []Need { return nil }

// Requires no tags: signing workers have a queue of their own.
func (d *GenerateKeyData) Requires() []string { return nil }

// Describe names the purpose.
func (d *GenerateKeyData) Describe(map[string][]debusine.Artifact) Description {
	return Description{Subject: d.Description, ParameterSummary: d.Purpose}
}

// DebsignData is the input of debsign: spec §3.10.
type DebsignData struct {
	common
	Unsigned debusine.Lookup `json:"unsigned"` // debian:upload
	Key      string          `json:"key"`      // fingerprint
}

func (d *DebsignData) check() error {
	if d.Unsigned.IsZero() {
		return missing("unsigned")
	}
	d.Key = strings.ToUpper(d.Key)
	if raw, err := hex.DecodeString(d.Key); err != nil || len(raw) != 20 {
		return debusine.Invalid{What: fmt.Sprintf("key must be a fingerprint of 40 hexadecimal digits, not %.80q", d.Key), Hint: "debusine asset list",
			Per: map[string]string{"key": "no fingerprint"}}
	}
	return nil
}

// SigningKey is the fingerprint of the key that the data ask for, if any.
func (d *DebsignData) SigningKey() string { return d.Key }

// Needs the upload.
func (d *DebsignData) Needs() []Need { return []Need{unsignedUpload(d.Unsigned)} }

// Requires no tags: signing workers have a queue of their own.
func (d *DebsignData) Requires() []string { return nil }

// Describe names the upload's source package and version.
func (d *DebsignData) Describe(found map[string][]debusine.Artifact) Description {
	return describeUpload(found[unsignedID])
}

// unsignedID is where dynamic data name the upload that is to be signed.
const unsignedID = "input_unsigned_id"

func unsignedUpload(l debusine.Lookup) Need {
	return Need{Field: unsignedID, Lookups: []debusine.Lookup{l}, Categories: []string{debusine.CategoryUpload}}
}

// describeUpload names the source package and version of an upload.
func describeUpload(found []debusine.Artifact) Description {
	var upload struct {
		Fields struct{ Source, Version, Architecture, Distribution string } `json:"changes_fields"`
	}
	for _, a := range found {
		_ = json.Unmarshal(a.Data, &upload) // validated when the artifact was made
	}
	source, _, _ := strings.Cut(upload.Fields.Source, " ")
	return Description{Subject: source, ParameterSummary: source + "_" + upload.Fields.Version, ConfigurationContext: upload.Fields.Distribution,
		Source: source, Version: upload.Fields.Version}
}
