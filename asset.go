package debusine

import (
	"encoding/base64"
	"slices"
	"time"
)

// CategorySigningKey is the one category of assets that there is so far.
const CategorySigningKey = "debusine:signing-key"

// The roles of groups on the use of an asset in a workspace. Nobody has one who
// was not given it: no owner, no administrator.
const (
	Signer           = "signer"
	RepositorySigner = "repository_signer" // of openpgp-repository keys; a signer is one too
)

// The roles of groups on an asset itself. An owner says who else owns and sees it,
// and is a viewer; so is who sees the asset's workspace. Neither may use it for that.
const (
	AssetOwner  = "owner"
	AssetViewer = "viewer"
)

// SigningKeyData is what the server knows of a key: its public half.
type SigningKeyData struct {
	Purpose     string `json:"purpose"` // uefi, openpgp, openpgp-repository
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key"` // base64
	Description string `json:"description,omitempty"`
}

// Check refuses data that are not those of a key.
func (d SigningKeyData) Check() error {
	switch {
	case !slices.Contains([]string{"uefi", "openpgp", "openpgp-repository"}, d.Purpose):
		return Invalidf("purpose must be uefi, openpgp or openpgp-repository, not %.80q", d.Purpose)
	case !isDigest(d.Fingerprint, 40) && !isDigest(d.Fingerprint, 64):
		return Invalidf("fingerprint must be 40 or 64 hexadecimal digits, not %.80q", d.Fingerprint)
	case len(d.Description) > 1000:
		return Invalidf("description is longer than 1000 bytes")
	}
	if raw, err := base64.StdEncoding.DecodeString(d.PublicKey); err != nil || len(raw) == 0 || len(raw) > 64<<10 {
		return Invalidf("public_key must be base64, of at most 64 KiB")
	}
	return nil
}

// Asset is a thing of a workspace that is used without being seen.
type Asset struct {
	ID          int64
	Scope       string
	Workspace   string
	WorkspaceID int64
	Category    string
	Data        SigningKeyData
	TwoPersons  bool // a second person approves each work request
	CreatedAt   time.Time
	CreatedBy   string      // username; empty for an administrator's doing
	WorkRequest int64       // that made it; 0 for none
	Grants      []AssetRole // who may use it where
}

// AssetRole says that a group may use an asset in a workspace.
type AssetRole struct {
	Workspace string // SCOPE/NAME
	Group     string
	Role      string
}

// AssetGroup says that a group has a role on an asset itself.
type AssetGroup struct {
	Group string
	Role  string
}
