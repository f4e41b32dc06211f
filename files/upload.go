package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"debusine"
)

// upload is a partial file that this process holds the lock of.
type upload struct {
	name    string
	file    *os.File
	want    Announced
	hash    hashState
	have    int64 // bytes written and hashed
	certain int64 // of them, what the state says
	saved   bool  // there is a state
}

// begin opens the partial file, waits for its lock, and takes up where the
// last piece ended.
func (d *Disk) begin(ctx context.Context, name string, want Announced) (*upload, error) {
	deadline := time.Now().Add(d.patience)
	for {
		u, err := lock(name)
		if err != nil || u != nil {
			if err == nil {
				u.want = want
				err = d.resume(u)
			}
			return u, err
		}
		if time.Now().After(deadline) {
			return nil, debusine.WithHint(debusine.Conflictf("another upload of the same file is under way"), "wait for its end")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lock gives nil when somebody else holds the file, or has just renamed or
// removed it.
func lock(name string) (*upload, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening an upload: %w", full(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		var there os.FileInfo
		mine, statErr := f.Stat()
		if there, err = os.Stat(name); err == nil && statErr == nil && os.SameFile(mine, there) {
			return &upload{name: name, file: f}, nil
		}
		err = syscall.EWOULDBLOCK
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking an upload: %w", err)
}

func (d *Disk) resume(u *upload) error {
	s, err := readState(u.name)
	if err == nil {
		u.saved = s.Offset > 0
		u.hash, u.have = newHash(s)
		u.certain = u.have
		if err = u.file.Truncate(u.have); err == nil {
			_, err = u.file.Seek(u.have, io.SeekStart)
		}
	}
	if err == nil {
		err = d.room(u)
	}
	if err != nil {
		u.file.Close()
		return fmt.Errorf("taking up an upload: %w", err)
	}
	return nil
}

// room refuses at once what cannot fit.
func (d *Disk) room(u *upload) error {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(u.file.Fd()), &s); err != nil {
		return nil // writing will tell
	}
	free := s.Bavail * uint64(s.Bsize)
	need := uint64(max(u.want.Size-u.have, 0))
	// A small file system is not all reserve.
	if reserve := min(d.reserve, s.Blocks*uint64(s.Bsize)/100); need+reserve > free {
		u.discard()
		return Full{fmt.Errorf("%d bytes are wanted, %d are free: %w", need, free, syscall.ENOSPC)}
	}
	return nil
}

// receive reads r to its end, writing and hashing side by side: the one waits
// for memory and disk, the other for the processor.
func (u *upload) receive(r io.Reader) error {
	first := make([]byte, min(pieceSize, max(u.want.Size-u.have+1, 512)))
	n, err := io.ReadFull(r, first)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return u.keep(first[:n], nil) // all of a small file: no goroutine
	}
	if err != nil {
		return errors.Join(u.keep(first[:n], nil), err)
	}
	return u.stream(r, first)
}

// stream reads, while a second goroutine writes what was read and a third hashes
// it: the sender, the disk and the processor wait for one another only when all
// buffers are full.
func (u *upload) stream(r io.Reader, filled []byte) error {
	var failed atomic.Bool
	pieces, free := make(chan []byte), make(chan []byte, buffers)
	for range buffers - 1 {
		free <- make([]byte, pieceSize)
	}
	kept := make(chan error, 1)
	go func() { kept <- u.keepAll(pieces, free, &failed) }()
	var broken error
	for pieces <- filled; !failed.Load(); {
		buffer := <-free
		if cap(buffer) < pieceSize { // the first was for a smaller file
			buffer = make([]byte, pieceSize)
		}
		n, err := io.ReadFull(r, buffer[:pieceSize])
		pieces <- buffer[:n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			broken = err
			break
		}
	}
	close(pieces)
	return errors.Join(<-kept, broken)
}

const (
	pieceSize = 512 << 10 // bytes read, hashed and written at a time
	buffers   = 3
)

// keepAll keeps piece after piece. After a fault it only empties the channel.
func (u *upload) keepAll(pieces <-chan []byte, free chan<- []byte, failed *atomic.Bool) (err error) {
	hashing, done := make(chan []byte), make(chan struct{})
	defer close(hashing)
	go func() {
		for piece := range hashing {
			u.hash.Write(piece)
			done <- struct{}{}
		}
	}()
	for piece := range pieces {
		if err == nil {
			err = u.keep(piece, func(p []byte) { hashing <- p })
			<-done
		}
		if err == nil {
			err = u.checkpoint()
		}
		if err != nil {
			failed.Store(true)
		}
		free <- piece[:cap(piece)]
	}
	return err
}

// keep writes one piece and hashes it: itself, or through hash, which is
// called exactly once.
func (u *upload) keep(piece []byte, hash func([]byte)) error {
	if hash == nil {
		hash = func(p []byte) { u.hash.Write(p) }
	}
	hash(piece)
	if u.have+int64(len(piece)) > u.want.Size {
		return debusine.Conflictf("the file is longer than the %d bytes that were announced", u.want.Size)
	}
	n, err := u.file.Write(piece)
	if err != nil || n < len(piece) {
		return fmt.Errorf("writing an upload: %w", writeFault{full(err)})
	}
	before := u.have
	u.have += int64(n)
	u.flushBehind(before)
	return nil
}

// writeFault marks an error of our own disk: what was hashed and what was
// written may differ.
type writeFault struct{ error }

// Unwrap gives the cause.
func (w writeFault) Unwrap() error { return w.error }

const flushStep = 8 << 20

// flushBehind has the kernel begin to write what is complete, so that the final
// fsync is short. What was written stays in memory: mostly a worker fetches it
// soon.
func (u *upload) flushBehind(before int64) {
	if from := before / flushStep * flushStep; u.have/flushStep*flushStep > from {
		// An error here comes back from fsync.
		_ = unix.SyncFileRange(int(u.file.Fd()), from, flushStep, unix.SYNC_FILE_RANGE_WRITE)
	}
}

// checkpoint makes what is there certain from time to time.
func (u *upload) checkpoint() error {
	if u.have-u.certain < certainty {
		return nil
	}
	return u.save()
}

// save makes what arrived certain: first the bytes, then the state.
func (u *upload) save() error {
	if u.have == u.certain && u.saved {
		return nil
	}
	if err := u.sync(); err != nil {
		return err
	}
	hash, err := u.hash.MarshalBinary()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(state{Offset: u.have, Hash: hash})
	if err != nil {
		return err
	}
	if err := writeWhole(u.name+".state", raw); err != nil {
		u.discard()
		return fmt.Errorf("keeping the state of an upload: %w", full(err))
	}
	u.certain, u.saved = u.have, true
	return nil
}

func writeWhole(name string, raw []byte) error {
	f, err := os.OpenFile(name+"~", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(name + "~")
		return err
	}
	return os.Rename(name+"~", name)
}

func (u *upload) sync() error {
	if err := u.file.Sync(); err != nil {
		u.discard() // which bytes are there is not known any more
		return fmt.Errorf("writing an upload to disk: %w", full(err))
	}
	return nil
}

// settle ends a piece that broke: our own disk's faults and overlong files
// leave nothing; what the sender broke off stays.
func (u *upload) settle(broken error) (int64, error) {
	var (
		ours     writeFault
		conflict debusine.Conflict
	)
	if errors.As(broken, &ours) || errors.As(broken, &conflict) {
		u.discard()
		return 0, broken
	}
	return u.have, errors.Join(broken, u.save())
}

// discard removes the upload; the lock stays with the open file.
func (u *upload) discard() {
	os.Remove(u.name + ".state")
	os.Remove(u.name)
	u.have, u.certain = 0, 0
}
