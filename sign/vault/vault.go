// Package vault keeps the signing worker's keys and the record of their use, in
// a database of its own that no server reaches.
//
// The record is written ahead: before a signature is made, an entry says that it
// will be, and one after says what came of it. A process that dies between the
// two leaves the first, so each signature that may exist is on record.
//
// Entries are a chain. Each is kept as the exact text that its hash is of, and
// that text holds the hash of the entry before. To change or take out a line one
// would have to write all later ones anew, and then the newest hash, the head,
// is another: heads leave this database with each signature (Head), and
// `debusine admin key audit --verify --head` compares.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"debusine"
	"debusine/schema"
	"debusine/sign"
)

// Vault is the keys of one signing worker, or of several that share a database.
// It is safe for concurrent use.
type Vault struct {
	pool   *pgxpool.Pool
	signer sign.Signer
}

// Key is a key and what is known of it.
type Key struct {
	sign.Key
	Description string
	CreatedAt   time.Time
	RetiredAt   *time.Time // it signs no more
}

// Open connects to the private database at dsn and brings it up to date.
func Open(ctx context.Context, dsn string, signer sign.Signer) (*Vault, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the signing database: %w", err)
	}
	defer conn.Close(ctx)
	var isServers bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('work_requests') IS NOT NULL`).Scan(&isServers); err != nil {
		return nil, fmt.Errorf("looking at the signing database: %w", err)
	}
	if isServers {
		return nil, debusine.Invalid{What: "this is the server's database; keys have one of their own", Hint: "createdb debusine_signing, owned by a role that the server has no password of"}
	}
	if _, err := schema.MigrateSigning(ctx, conn); err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the signing database: %w", err)
	}
	return &Vault{pool: pool, signer: signer}, nil
}

// Close gives all connections back.
func (v *Vault) Close() { v.pool.Close() }

const keyColumns = `purpose, fingerprint, public_key, private_key, description, created_at, retired_at`

func scanKey(row pgx.CollectableRow) (k Key, err error) {
	err = row.Scan(&k.Purpose, &k.Fingerprint, &k.Public, &k.Private, &k.Description, &k.CreatedAt, &k.RetiredAt)
	return k, err
}

// Keys are all keys, the oldest first.
func (v *Vault) Keys(ctx context.Context) ([]Key, error) {
	rows, err := v.pool.Query(ctx, `SELECT `+keyColumns+` FROM keys ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	return pgx.CollectRows(rows, scanKey)
}

// Key is the key of a fingerprint, in either case of letters.
func (v *Vault) Key(ctx context.Context, fingerprint string) (k Key, err error) {
	rows, err := v.pool.Query(ctx, `SELECT `+keyColumns+` FROM keys WHERE fingerprint = $1`, strings.ToUpper(fingerprint))
	if err == nil {
		k, err = pgx.CollectExactlyOneRow(rows, scanKey)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return k, debusine.Missing{What: fmt.Sprintf("key %.80q", fingerprint), Hint: "debusine admin key list"}
	}
	return k, err
}

// Generate makes a key and keeps it. A request that names a work request makes
// one key, however often it is said.
func (v *Vault) Generate(ctx context.Context, w sign.Wanted, by Cause) (Key, error) {
	if by.WorkRequest != 0 {
		if k, err := v.madeFor(ctx, by.WorkRequest); err != nil || k.Fingerprint != "" {
			return k, err
		}
	}
	key, err := v.signer.Generate(ctx, w)
	if err != nil {
		return Key{}, err
	}
	return v.keep(ctx, key, "generate", by)
}

// madeFor finds the key that was made for a work request.
func (v *Vault) madeFor(ctx context.Context, workRequest int64) (Key, error) {
	var fingerprint string
	err := v.pool.QueryRow(ctx, `SELECT entry::jsonb->>'fingerprint' FROM audit WHERE entry::jsonb->>'event' = 'generate' AND (entry::jsonb->>'work_request')::bigint = $1 LIMIT 1`, workRequest).Scan(&fingerprint)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, nil
	}
	if err != nil {
		return Key{}, fmt.Errorf("looking for the key of work request %d: %w", workRequest, err)
	}
	return v.Key(ctx, fingerprint)
}

// Import takes the key in a file, which should be shredded afterwards.
func (v *Vault) Import(ctx context.Context, p sign.Purpose, path string, by Cause) (Key, error) {
	key, err := v.signer.Import(ctx, p, path)
	if err != nil {
		return Key{}, err
	}
	return v.keep(ctx, key, "import", by)
}

// Register takes a key in hardware, and has the token certify it.
func (v *Vault) Register(ctx context.Context, w sign.Wanted, uri string, by Cause) (Key, error) {
	var key sign.Key
	err := v.withPIN(ctx, sign.Protected{Storage: sign.PKCS11}, func() (err error) {
		key, err = v.signer.Register(ctx, w, uri)
		return err
	})
	if err != nil {
		return Key{}, err
	}
	return v.keep(ctx, key, "register", by)
}

func (v *Vault) keep(ctx context.Context, key sign.Key, event string, by Cause) (k Key, err error) {
	err = pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO keys (purpose, fingerprint, private_key, public_key, description) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			key.Purpose, key.Fingerprint, key.Private, key.Public, by.Description)
		if err != nil {
			return fmt.Errorf("keeping a key: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return debusine.Conflictf("key %s is here already", key.Fingerprint)
		}
		_, err = appendEntry(ctx, tx, by.entry(event, key))
		return err
	})
	if err != nil {
		return k, err
	}
	return v.Key(ctx, key.Fingerprint)
}

// Retire ends a key's signing, at once and for good.
func (v *Vault) Retire(ctx context.Context, fingerprint string, by Cause) error {
	key, err := v.Key(ctx, fingerprint)
	if err != nil {
		return err
	}
	if key.RetiredAt != nil {
		return debusine.Conflictf("key %s is retired already", key.Fingerprint)
	}
	return pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE keys SET retired_at = now(), updated_at = now() WHERE fingerprint = $1`, key.Fingerprint); err != nil {
			return fmt.Errorf("retiring key %s: %w", key.Fingerprint, err)
		}
		_, err := appendEntry(ctx, tx, by.entry("retire", key.Key))
		return err
	})
}

// Revoke gives a key's certificate with its own revocation, also of a key that is
// retired. That it was asked for is on record before it is made.
func (v *Vault) Revoke(ctx context.Context, fingerprint string, compromised bool, by Cause) (certificate []byte, err error) {
	key, err := v.Key(ctx, fingerprint)
	if err != nil {
		return nil, err
	}
	if _, err := v.append(ctx, by.entry("revoke", key.Key)); err != nil {
		return nil, err
	}
	err = v.withPIN(ctx, key.Private, func() error {
		certificate, err = v.signer.Revoke(ctx, key.Key, compromised, by.Description)
		return err
	})
	return certificate, err
}

// Rotate encrypts every key to the newest service key and says how many were
// not. It can be run while the signing worker works, and again.
func (v *Vault) Rotate(ctx context.Context, by Cause) (rotated int, err error) {
	keys, err := v.Keys(ctx)
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if key.Private.Storage != sign.NaCl {
			continue
		}
		again, err := v.signer.Reseal(ctx, key.Private)
		if err != nil {
			return rotated, fmt.Errorf("key %s: %w", key.Fingerprint, err)
		}
		if string(again.PublicKey) == string(key.Private.PublicKey) {
			continue
		}
		err = pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE keys SET private_key = $2, updated_at = now() WHERE fingerprint = $1`, key.Fingerprint, again); err != nil {
				return fmt.Errorf("keeping key %s: %w", key.Fingerprint, err)
			}
			_, err := appendEntry(ctx, tx, by.entry("rotate", key.Key))
			return err
		})
		if err != nil {
			return rotated, err
		}
		rotated++
	}
	return rotated, nil
}

// withPIN runs what needs a token's PIN, unless the PIN in the file was refused
// before. What is remembered is the file's state, nothing of what is in it.
func (v *Vault) withPIN(ctx context.Context, p sign.Protected, fn func() error) error {
	if p.Storage != sign.PKCS11 {
		return fn()
	}
	state, err := fileState(v.signer.PINFile)
	if err != nil {
		return err
	}
	var refused bool
	if err := v.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM refused_pins WHERE file_state = $1)`, state).Scan(&refused); err != nil {
		return fmt.Errorf("looking for refused PINs: %w", err)
	}
	if refused {
		return debusine.Conflict{What: sign.WrongPIN{}.Error(), Hint: "write the right PIN to " + v.signer.PINFile}
	}
	err = fn()
	if errors.As(err, new(sign.WrongPIN)) {
		_, noting := v.pool.Exec(context.WithoutCancel(ctx), `INSERT INTO refused_pins (file_state) VALUES ($1) ON CONFLICT DO NOTHING`, state)
		return errors.Join(debusine.Conflict{What: sign.WrongPIN{}.Error(), Hint: "write the right PIN to " + v.signer.PINFile}, noting)
	}
	return err
}

func fileState(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", debusine.Missing{What: fmt.Sprintf("the file with the token's PIN (%q)", path), Hint: "debusine signing --pin-file FILE"}
	}
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	raw, err := json.Marshal([]any{path, inode, info.Size(), info.ModTime().UnixNano()})
	return string(raw), err
}
