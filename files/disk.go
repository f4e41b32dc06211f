// Package files keeps bytes by what they are: each content once, under its
// SHA-256. A file arrives in pieces, is hashed while it arrives, and becomes
// visible in one step, when it is whole and is what was announced.
//
// Disk keeps them in a folder:
//
//	objects/ab/abcdef…    whole contents, read-only, never changed
//	partial/KEY           a file that is arriving
//	partial/KEY.state     how much of it is certain, with the state of its hash
//	objects.lock          keeps naming contents and removing them apart (Collect)
//
// What a call has acknowledged survives a crash: bytes are on the disk before
// the state says so, and an object has its final name after its bytes are
// there. An upload that is resumed does not read again what it has. Several
// servers may share the folder: uploads hold a lock on their partial file.
package files

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"debusine"
)

// Disk is a store in a folder. It is safe for concurrent use, by several
// processes too.
type Disk struct {
	dir      string
	reserve  uint64        // bytes that are left free on the file system
	patience time.Duration // how long an upload waits for another of the same file
}

// Announced is what a file will be: its size in bytes and its SHA-256,
// lower-case hexadecimal.
type Announced struct {
	Size   int64
	SHA256 string
}

// Full says that the file system has no room; nothing of the file is kept.
type Full struct{ Err error }

func (f Full) Error() string { return "the file store is full: " + f.Err.Error() }

// Unwrap gives the system's own error.
func (f Full) Unwrap() error { return f.Err }

// Gap says that a piece does not begin where the file ends so far.
type Gap struct{ Have int64 }

func (g Gap) Error() string { return fmt.Sprintf("the file has %d bytes so far", g.Have) }

const (
	reserved  = 64 << 20 // bytes kept free for everything else on the file system
	certainty = 64 << 20 // an upload can be resumed after at most this many bytes are lost in a crash
	longWait  = 45 * time.Second
)

// Open makes the folder ready.
func Open(dir string) (*Disk, error) {
	for _, sub := range []string{"objects", "partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("opening the file store: %w", err)
		}
	}
	return &Disk{dir: dir, reserve: reserved, patience: longWait}, nil
}

var (
	hexSum  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	safeKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)
)

func (d *Disk) object(sum string) (string, error) {
	if !hexSum.MatchString(sum) {
		return "", debusine.Invalidf("%.80q is not a SHA-256", sum)
	}
	return filepath.Join(d.dir, "objects", sum[:2], sum), nil
}

func (d *Disk) partial(key string) (string, error) {
	if !safeKey.MatchString(key) {
		return "", debusine.Invalidf("%.80q is not the key of an upload", key)
	}
	return filepath.Join(d.dir, "partial", key), nil
}

// File is an open content.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Open gives the content with the SHA-256: an *os.File, so that the kernel can
// send it. One that is not there is Missing.
func (d *Disk) Open(sum string) (*os.File, error) {
	name, err := d.object(sum)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, debusine.Missingf("content %s", sum)
	}
	if err != nil {
		return nil, fmt.Errorf("opening content %s: %w", sum, err)
	}
	return f, nil
}

// Objects is the folder of whole contents, for whoever checks them.
func (d *Disk) Objects() string { return filepath.Join(d.dir, "objects") }

// Has says whether the whole content is there.
func (d *Disk) Has(a Announced) bool {
	name, err := d.object(a.SHA256)
	if err != nil {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && info.Size() == a.Size
}

// state is what stands beside a partial file.
type state struct {
	Offset int64  `json:"offset"` // bytes that are on the disk for certain
	Hash   []byte `json:"hash"`   // crypto/sha256's own state after them
}

// Offset is how many bytes of an upload are there for certain.
func (d *Disk) Offset(key string) (int64, error) {
	name, err := d.partial(key)
	if err != nil {
		return 0, err
	}
	s, err := readState(name)
	return s.Offset, err
}

func readState(name string) (s state, err error) {
	raw, err := os.ReadFile(name + ".state")
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("reading the state of an upload: %w", err)
	}
	if json.Unmarshal(raw, &s) != nil {
		return state{}, nil // torn by a crash: begin again
	}
	return s, nil
}

// Append adds what r gives to the upload called key, from byte offset on, and
// says how many bytes are there then. The piece that makes the file whole also
// puts it under its SHA-256. Bytes that are there already are skipped; a piece
// that would leave a hole is a Gap. A file that turns out longer than
// announced, or other, is a Conflict, and its bytes are gone; so they are after
// Full. When r breaks, what arrived stays for a later piece, and r's error
// comes back.
func (d *Disk) Append(ctx context.Context, key string, offset int64, r io.Reader, want Announced) (have int64, err error) {
	if !hexSum.MatchString(want.SHA256) {
		return 0, debusine.Invalidf("%.80q is not a SHA-256", want.SHA256)
	}
	name, err := d.partial(key)
	if err != nil {
		return 0, err
	}
	u, err := d.begin(ctx, name, want)
	if err != nil {
		return 0, err
	}
	defer u.file.Close() // and the lock with it
	if offset > u.have {
		return u.have, Gap{Have: u.have}
	}
	if skip := u.have - offset; skip > 0 {
		if n, err := io.CopyN(io.Discard, r, skip); err != nil {
			return u.have, ignoreEOF(err, n)
		}
	}
	broken := u.receive(r)
	if broken != nil {
		return u.settle(broken)
	}
	if u.have < want.Size {
		return u.have, u.save()
	}
	return u.have, d.finish(u)
}

// ignoreEOF: a piece that holds nothing new is no error.
func ignoreEOF(err error, _ int64) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// finish checks the whole file and gives it its name.
func (d *Disk) finish(u *upload) error {
	if got := hex.EncodeToString(u.hash.Sum(nil)); got != u.want.SHA256 {
		u.discard()
		return debusine.WithHint(debusine.Conflictf("the file has SHA-256 %s, announced was %s", got, u.want.SHA256), "it is gone here; upload it again from its first byte")
	}
	if err := u.file.Chmod(0o444); err != nil {
		return err
	}
	if err := u.sync(); err != nil {
		return err
	}
	name, err := d.object(u.want.SHA256)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(name), 0o755); err == nil {
		err = syncDir(filepath.Join(d.dir, "objects"))
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return full(err)
	}
	unlock, err := d.guard(syscall.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Rename(u.name, name); err != nil {
		return fmt.Errorf("naming a file by its content: %w", err)
	}
	if u.saved {
		os.Remove(u.name + ".state")
	}
	return syncDir(filepath.Dir(name))
}

// Forget ends an upload and removes what arrived of it.
func (d *Disk) Forget(key string) error {
	name, err := d.partial(key)
	if err != nil {
		return err
	}
	return errors.Join(remove(name+".state"), remove(name))
}

// Sweep removes uploads that nothing was added to for longer than age, and says
// how many.
func (d *Disk) Sweep(age time.Duration) (removed int, err error) {
	folder := filepath.Join(d.dir, "partial")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("sweeping uploads: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		name := filepath.Join(folder, strings.TrimSuffix(e.Name(), ".state"))
		if data, err := os.Stat(name); err == nil && time.Since(data.ModTime()) < age {
			continue
		}
		if err := remove(filepath.Join(folder, e.Name())); err != nil {
			return removed, fmt.Errorf("sweeping uploads: %w", err)
		}
		removed++
	}
	return removed, nil
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing folder %s to disk: %w", name, err)
	}
	return nil
}

// full turns the system's words for "no room" into Full.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return Full{err}
	}
	return err
}

func newHash(s state) (hashState, int64) {
	h := sha256.New().(hashState)
	if s.Offset > 0 && h.UnmarshalBinary(s.Hash) == nil {
		return h, s.Offset
	}
	return sha256.New().(hashState), 0
}

// hashState is what crypto/sha256 gives: a hash whose middle can be kept.
type hashState interface {
	io.Writer
	Sum(b []byte) []byte
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}
