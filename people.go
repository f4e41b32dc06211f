package debusine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"
)

// Scope is a tenant: groups and workspaces belong to exactly one.
type Scope struct {
	ID          int64
	Name, Label string
	Public      bool
}

// Workspace holds artifacts, collections, templates and work requests.
type Workspace struct {
	ID                     int64
	Scope                  string
	ScopeID                int64
	Name                   string
	Public                 bool
	DefaultExpirationDelay time.Duration // zero: kept for ever
}

// Resource is what rights to the workspace are asked for.
func (w Workspace) Resource() Resource {
	return Resource{What: "workspace " + w.Scope + "/" + w.Name, Scope: w.ScopeID, Workspace: w.ID, Public: w.Public}
}

// User is a person or a program that acts; users are global.
type User struct {
	ID        int64
	Username  string
	Email     string
	Superuser bool
	Active    bool
}

// Group is a set of users within a scope, the holder of roles.
type Group struct {
	ID        int64
	Scope     string
	Workspace string // empty for a group of the whole scope
	Name      string
}

// Token is a credential. Its secret is shown once and kept as a hash.
type Token struct {
	ID       int64
	Type     string // user, worker, worker-activation
	User     string
	Worker   string
	Comment  string
	Enabled  bool
	ExpireAt *time.Time
}

// NewSecret makes the secret of a token: 32 random bytes, printable.
func NewSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

// HashSecret is what is kept of a secret: its SHA-256, hexadecimal.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Worker is a build machine as the server knows it.
type Worker struct {
	ID           int64
	Name         string
	Type         string // external, signing
	Enabled      bool
	Draining     bool
	Concurrency  int
	RegisteredAt time.Time
	HeardAt      *time.Time
	Dynamic      map[string]any // what the machine reports
	Static       map[string]any // what an administrator says of it
	TagsProvided []string
	TagsRequired []string
	Running      []int64 // work requests in hand, as far as they may be known
	Busy         int     // how many there are
}
