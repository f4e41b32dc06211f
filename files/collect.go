package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"debusine"
)

// Wanted says which contents are wanted, by their SHA-256.
type Wanted func(ctx context.Context, sums []string) (map[string]bool, error)

// Collect removes whole contents that were last stored longer than age ago and
// that nobody wants, and says how many and of how many bytes.
//
// A content becomes wanted after it was stored. So age must be longer than the
// time between the two; and while Collect looks at contents and removes them no
// upload is given its name, by a lock that all servers of the folder share. One
// that ends in the middle does no harm: what is left is found the next time.
func (d *Disk) Collect(ctx context.Context, age time.Duration, wanted Wanted) (removed int, bytes int64, err error) {
	folders, err := os.ReadDir(d.Objects())
	if err != nil {
		return 0, 0, fmt.Errorf("collecting unwanted contents: %w", err)
	}
	for _, folder := range folders {
		n, size, err := d.collectIn(ctx, filepath.Join(d.Objects(), folder.Name()), age, wanted)
		removed, bytes = removed+n, bytes+size
		if err != nil {
			return removed, bytes, fmt.Errorf("collecting unwanted contents: %w", err)
		}
	}
	return removed, bytes, nil
}

func (d *Disk) collectIn(ctx context.Context, folder string, age time.Duration, wanted Wanted) (removed int, bytes int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, 0, err
	}
	unlock, err := d.guard(syscall.LOCK_EX)
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	var sums []string
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := os.Lstat(filepath.Join(folder, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another server was here
		}
		if err != nil {
			return 0, 0, err
		}
		if _, ours := d.object(e.Name()); ours == nil && info.Mode().IsRegular() && time.Since(stored(info)) > age {
			sums, sizes[e.Name()] = append(sums, e.Name()), info.Size()
		}
	}
	if len(sums) == 0 {
		return 0, 0, nil
	}
	keep, err := wanted(ctx, sums)
	if err != nil {
		return 0, 0, err
	}
	for _, sum := range sums {
		if keep[sum] {
			continue
		}
		if err := remove(filepath.Join(folder, sum)); err != nil {
			return removed, bytes, err
		}
		removed, bytes = removed+1, bytes+sizes[sum]
	}
	return removed, bytes, nil
}

// stored is when a content got its name, for the last time: a rename changes the
// inode, but not when its bytes were written.
func stored(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}

// guard keeps naming contents and removing them apart: those who name share it,
// who removes has it alone.
func (d *Disk) guard(how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.dir, "objects.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the contents: %w", full(err))
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the contents: %w", err)
	}
	return func() { f.Close() }, nil
}

// Claim says for whom the folder keeps contents, once and for all. Another is
// refused: what it does not know it would throw away. Who may not be the first
// is refused too when nobody was.
func (d *Disk) Claim(installation string, first bool) error {
	name := filepath.Join(d.dir, "installation")
	if first {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = f.WriteString(installation)
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("claiming the contents: %w", full(err))
		}
	}
	raw, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return debusine.WithHint(debusine.Conflictf("no server has used %s yet", d.dir), "name the folder that the server was given with --files")
	case err != nil:
		return fmt.Errorf("reading whose contents these are: %w", err)
	case string(raw) != installation:
		return debusine.WithHint(debusine.Conflictf("%s keeps the files of installation %.40q, not of %q", d.dir, raw, installation), "each database has a folder of its own; nothing was removed")
	}
	return nil
}
