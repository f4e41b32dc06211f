package api

import "time"

// SigningKey is what is public about a key.
type SigningKey struct {
	Purpose     string `json:"purpose"` // uefi, openpgp, openpgp-repository
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key"` // base64
	Description string `json:"description,omitempty"`
}

// AssetRole says that a group may use an asset in a workspace.
type AssetRole struct {
	Workspace string `json:"workspace"` // SCOPE/NAME
	Group     string `json:"group"`
	Role      string `json:"role"`
}

// AssetGroup says that a group owns or sees an asset; ours.
type AssetGroup struct {
	Group string `json:"group"`
	Role  string `json:"role"` // owner, viewer
}

// Asset is a thing of a workspace that is used without being seen: a signing key.
type Asset struct {
	ID                   int64       `json:"id"`
	Category             string      `json:"category"`
	Scope                string      `json:"scope"`
	Workspace            string      `json:"workspace"`
	Data                 SigningKey  `json:"data"`
	TwoPersons           bool        `json:"two_persons"` // ours
	CreatedAt            time.Time   `json:"created_at"`
	CreatedBy            string      `json:"created_by,omitempty"`
	CreatedByWorkRequest *int64      `json:"work_request"`
	Grants               []AssetRole `json:"grants"` // ours
}

// AssetCreate is the body of POST asset/, with the token of the attempt that made
// the key, whose workspace it is then; or with that of an owner of the workspace.
type AssetCreate struct {
	Category    string     `json:"category"`
	Data        SigningKey `json:"data"`
	Workspace   string     `json:"workspace,omitempty"`
	WorkRequest int64      `json:"work_request,omitempty"`
	TwoPersons  bool       `json:"two_persons,omitempty"` // ours
}

// SignWith is the body of POST asset/debusine:signing-key/FINGERPRINT/sign_with/,
// with the token of the attempt that is about to sign.
type SignWith struct {
	Artifact    int64  `json:"artifact_id"`
	WorkRequest int64  `json:"work_request_id"`
	Workspace   string `json:"workspace"`
	File        string `json:"file,omitempty"` // only that one; default: all; ours
}

// SigningPermit is the leave to sign the files of one artifact, now.
type SigningPermit struct {
	HasPermission bool              `json:"has_permission"` // true: what may not be is refused with 403
	User          string            `json:"username"`
	UserID        int64             `json:"user_id"`
	Resource      SignedResource    `json:"resource"`
	Asset         Asset             `json:"asset"` // this and what follows is ours
	Artifact      int64             `json:"artifact"`
	MadeBy        int64             `json:"made_by,omitempty"` // the work request whose output it is; 0: the user uploaded it
	Files         map[string]string `json:"files"`             // SHA-256 by path
	Approvals     []string          `json:"approvals,omitempty"`
	Now           time.Time         `json:"now"` // the server's clock
}

// SignedResource says for the record what is signed.
type SignedResource struct {
	Artifact    int64  `json:"artifact_id"`
	WorkRequest int64  `json:"work_request_id"`
	Workspace   string `json:"workspace"`
}

// Approve is the body of POST asset/debusine:signing-key/FINGERPRINT/approve/.
type Approve struct {
	WorkRequest int64 `json:"work_request"`
}

// Heard is the answer to a heartbeat of an attempt.
type Heard struct {
	Aborted bool `json:"aborted"`
}
