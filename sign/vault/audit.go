package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/crash"
	"debusine/sign"
)

// Cause is on whose behalf something is done, as far as the audit wants to know.
type Cause struct {
	User        string // who started the work
	WorkRequest int64  // 0 for what an administrator does by hand
	Artifact    int64  // whose file is signed
	Resource    string // what is signed: hello_2.10-3.dsc
	Approvals   []string
	Description string
}

// The events of the audit. Generate, import, register, rotate and retire are
// about keys; intend is written before a signature, sign or fail after it.
const (
	Intend = "intend"
	Sign   = "sign"
	Fail   = "fail"
)

// Entry is one line of the audit.
type Entry struct {
	Seq         int64        `json:"seq"`
	Previous    string       `json:"previous"` // hash of the entry before, hexadecimal
	At          time.Time    `json:"at"`
	Event       string       `json:"event"`
	Purpose     sign.Purpose `json:"purpose"`
	Fingerprint string       `json:"fingerprint"`
	User        string       `json:"user,omitempty"`
	WorkRequest int64        `json:"work_request,omitempty"`
	Artifact    int64        `json:"artifact,omitempty"`
	Resource    string       `json:"resource,omitempty"`
	Approvals   []string     `json:"approvals,omitempty"`
	Description string       `json:"description,omitempty"`
	Data        string       `json:"data_sha256,omitempty"`      // of what is signed
	Signature   string       `json:"signature_sha256,omitempty"` // of what came out
	Intention   int64        `json:"intention,omitempty"`        // seq of the entry that this one ends
}

// Head names the newest entry: who knows it can tell when entries are missing.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"` // hexadecimal
}

func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Seq, h.Hash) }

// ParseHead reads SEQ:HASH.
func ParseHead(text string) (h Head, err error) {
	seq, hash, _ := strings.Cut(text, ":")
	h.Seq, err = strconv.ParseInt(seq, 10, 64)
	if raw, bad := hex.DecodeString(hash); err != nil || bad != nil || len(raw) != sha256.Size {
		return h, debusine.Invalid{What: fmt.Sprintf("%.100q is no head of an audit", text), Hint: "it is NUMBER:HASH, as signing work requests report it in output_data.audit_head"}
	}
	h.Hash = strings.ToLower(hash)
	return h, nil
}

func (by Cause) entry(event string, key sign.Key) Entry {
	return Entry{Event: event, Purpose: key.Purpose, Fingerprint: key.Fingerprint, User: by.User, WorkRequest: by.WorkRequest,
		Artifact: by.Artifact, Resource: by.Resource, Approvals: by.Approvals, Description: by.Description}
}

// auditLock orders who appends; the number means nothing.
const auditLock = 0x64656273

func appendEntry(ctx context.Context, tx pgx.Tx, e Entry) (Head, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, auditLock); err != nil {
		return Head{}, fmt.Errorf("waiting for the audit: %w", err)
	}
	last, err := head(ctx, tx)
	if err != nil {
		return last, err
	}
	e.Seq, e.Previous, e.At = last.Seq+1, last.Hash, time.Now().UTC().Truncate(time.Microsecond)
	raw, err := json.Marshal(e)
	if err != nil {
		return last, fmt.Errorf("writing the audit: %w", err)
	}
	sum := sha256.Sum256(raw)
	if _, err := tx.Exec(ctx, `INSERT INTO audit (seq, entry, hash) VALUES ($1, $2, $3)`, e.Seq, string(raw), sum[:]); err != nil {
		return last, fmt.Errorf("writing the audit: %w", err)
	}
	return Head{e.Seq, hex.EncodeToString(sum[:])}, nil
}

type queryRower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func head(ctx context.Context, q queryRower) (Head, error) {
	var h Head
	err := q.QueryRow(ctx, `SELECT seq, encode(hash, 'hex') FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&h.Seq, &h.Hash)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return h, fmt.Errorf("reading the audit's head: %w", err)
	}
	return h, nil
}

// Head is the newest entry's.
func (v *Vault) Head(ctx context.Context) (Head, error) { return head(ctx, v.pool) }

// SignOpenPGP makes one signature and records it, the intention first. Whether it
// may be made is the caller's to ask, right before.
func (v *Vault) SignOpenPGP(ctx context.Context, key Key, mode sign.Mode, data []byte, by Cause) (signed []byte, err error) {
	err = v.recorded(ctx, key, sumOf(data), by, func() (string, error) {
		signed, err = v.signer.SignOpenPGP(ctx, key.Key, mode, data)
		return sumOf(signed), err
	})
	if err != nil {
		return nil, err
	}
	return signed, nil
}

// SignFile does the same for one file, whose signature, or signed form, it writes
// into another: sign.Signer.SignFile. Nobody else may change the first meanwhile.
func (v *Vault) SignFile(ctx context.Context, key Key, mode sign.Mode, from, to string, by Cause) error {
	sum, err := sumOfFile(from)
	if err != nil {
		return err
	}
	return v.recorded(ctx, key, sum, by, func() (string, error) {
		if err := v.signer.SignFile(ctx, key.Key, mode, from, to); err != nil {
			return "", err
		}
		return sumOfFile(to)
	})
}

// recorded makes a signature between two entries. What is signed has the SHA-256
// data; make gives that of what came out.
func (v *Vault) recorded(ctx context.Context, key Key, data string, by Cause, make func() (string, error)) error {
	if key.RetiredAt != nil {
		return debusine.Conflictf("key %s is retired", key.Fingerprint)
	}
	intention := by.entry(Intend, key.Key)
	intention.Data = data
	at, err := v.append(ctx, intention)
	if err != nil {
		return err
	}
	crash.Point(crash.Intended)
	var signature string
	err = v.withPIN(ctx, key.Private, func() (err error) {
		signature, err = make()
		return err
	})
	crash.Point(crash.Signed)
	end := by.entry(Sign, key.Key)
	end.Data, end.Intention, end.Signature = data, at.Seq, signature
	if err != nil {
		end.Event, end.Signature = Fail, ""
	}
	// A caller that has gone away meanwhile changes nothing about what was made.
	_, failed := v.append(context.WithoutCancel(ctx), end)
	return errors.Join(err, failed)
}

func sumOfFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading what is signed: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading what is signed: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (v *Vault) append(ctx context.Context, e Entry) (h Head, err error) {
	err = pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
		h, err = appendEntry(ctx, tx, e)
		return err
	})
	return h, err
}

// Verdict is what Verify found in an audit that is whole.
type Verdict struct {
	Entries    int64
	Head       Head
	Unfinished []Entry // intentions without an end: a signature may have been made
}

// Verify reads the whole audit and compares each entry with its hash and its
// place, and the chain with heads that were known earlier. Damage is an Invalid
// that says where. each, unless nil, sees every entry in order.
func (v *Vault) Verify(ctx context.Context, known []Head, each func(Entry) error) (verdict Verdict, err error) {
	rows, err := v.pool.Query(ctx, `SELECT seq, entry, hash FROM audit ORDER BY seq`)
	if err != nil {
		return verdict, fmt.Errorf("reading the audit: %w", err)
	}
	defer rows.Close()
	chain := newChain(known)
	for rows.Next() {
		var (
			seq  int64
			text string
			hash []byte
		)
		if err := rows.Scan(&seq, &text, &hash); err != nil {
			return verdict, fmt.Errorf("reading the audit: %w", err)
		}
		entry, err := chain.next(seq, text, hash)
		if err != nil {
			return verdict, err
		}
		if each != nil {
			if err := each(entry); err != nil {
				return verdict, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return verdict, fmt.Errorf("reading the audit: %w", err)
	}
	return chain.end()
}

// chain is an audit as far as it was read.
type chain struct {
	head  Head
	known map[int64]string
	open  map[int64]Entry
}

func newChain(known []Head) *chain {
	c := &chain{known: map[int64]string{}, open: map[int64]Entry{}}
	for _, h := range known {
		if other, twice := c.known[h.Seq]; twice && other != h.Hash {
			// Two heads of one number cannot both be of this chain.
			h.Hash = "two different heads"
		}
		c.known[h.Seq] = h.Hash
	}
	return c
}

func (c *chain) next(seq int64, text string, hash []byte) (e Entry, err error) {
	sum := sha256.Sum256([]byte(text))
	switch {
	case !bytes.Equal(sum[:], hash):
		return e, debusine.Invalidf("the audit is damaged: entry %d was changed", seq)
	case json.Unmarshal([]byte(text), &e) != nil:
		return e, debusine.Invalidf("the audit is damaged: entry %d cannot be read", seq)
	case seq != c.head.Seq+1 || e.Seq != seq:
		return e, debusine.Invalidf("the audit is damaged: entry %d is missing", c.head.Seq+1)
	case e.Previous != c.head.Hash:
		return e, debusine.Invalidf("the audit is damaged: entry %d does not follow entry %d as it stands now", seq, c.head.Seq)
	}
	c.head = Head{seq, hex.EncodeToString(hash)}
	if expected, ok := c.known[seq]; ok && expected != c.head.Hash {
		return e, debusine.Invalidf("the audit is damaged: entry %d is another than the one that was reported when it was written", seq)
	}
	delete(c.known, seq)
	switch e.Event {
	case Intend:
		c.open[seq] = e
	case Sign, Fail:
		delete(c.open, e.Intention)
	}
	return e, nil
}

func (c *chain) end() (Verdict, error) {
	for seq := range c.known {
		return Verdict{}, debusine.Invalidf("the audit is damaged: it ends with entry %d, but entry %d was reported once", c.head.Seq, seq)
	}
	v := Verdict{Entries: c.head.Seq, Head: c.head}
	for seq := range c.head.Seq {
		if e, ok := c.open[seq+1]; ok {
			v.Unfinished = append(v.Unfinished, e)
		}
	}
	return v, nil
}
