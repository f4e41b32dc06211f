package dput

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"debusine"
)

// state is how a file that lies there compares to ours.
type state int

const (
	absent  state = iota
	whole         // the same bytes
	likely        // as many bytes, which cannot be read
	part          // the first bytes of ours
	unknown       // not as many bytes, or no size, and they cannot be read
	other         // other bytes
)

// state looks at a file, and gives its size.
func (d *delivery) state(q queue, f File) (state, int64, error) {
	found, size, err := q.look(f.Name)
	switch {
	case err != nil:
		return absent, 0, fmt.Errorf("looking for %s: %w", f.Name, err)
	case !found:
		return absent, 0, nil
	case size > f.Size:
		return other, size, nil
	case size == f.Size && d.done[f.Name]:
		return whole, size, nil
	}
	same, err := compare(q, f, size)
	switch {
	case errors.As(err, new(debusine.Forbidden)) && size == f.Size:
		return likely, size, nil
	case errors.As(err, new(debusine.Forbidden)):
		return unknown, size, nil
	case err != nil:
		return absent, 0, fmt.Errorf("comparing %s: %w", f.Name, err)
	case !same:
		return other, size, nil
	case size == f.Size:
		return whole, size, nil
	}
	return part, size, nil
}

// compare reads what lies there and says whether our file begins with it. A
// file whose size is not told is not read, nor is an empty one: vsftpd falls out of
// TLS when a transfer has no byte.
func compare(q queue, f File, size int64) (bool, error) {
	if size < 0 {
		return false, debusine.Forbidden{What: "its size is not told"}
	}
	if size == 0 {
		return true, nil
	}
	there, err := q.read(f.Name)
	if err != nil {
		return false, err
	}
	defer there.Close()
	ours, err := f.Open()
	if err != nil {
		return false, err
	}
	defer ours.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	same := true
	for left := size; left > 0; {
		n := int(min(left, int64(len(a))))
		if _, err := io.ReadFull(ours, b[:n]); err != nil {
			return false, fmt.Errorf("reading our %s: %w", f.Name, err)
		}
		if _, err := io.ReadFull(there, a[:n]); err != nil {
			return false, err
		}
		same = same && bytes.Equal(a[:n], b[:n])
		left -= int64(n)
	}
	// Only after its end does a server say how the transfer was.
	if n, err := io.Copy(io.Discard, io.LimitReader(there, 1)); err != nil || n > 0 {
		return false, err
	}
	return same, nil
}

// put sees to it that a file lies there: kept, continued or sent anew.
func (d *delivery) put(q queue, f File) error {
	state, size, err := d.state(q, f)
	if err != nil {
		return err
	}
	at := int64(0)
	switch state {
	case whole, likely:
		d.receipt.Unread = d.receipt.Unread || state == likely
		d.receipt.Kept = appendNew(d.receipt.Kept, d.receipt.Sent, f.Name)
		d.done[f.Name] = true
		return nil
	case part:
		at = size
	}
	err = d.write(q, f, at)
	if at > 0 && errors.As(err, new(debusine.Forbidden)) {
		err = d.write(q, f, 0) // a server that continues no file may still replace it
	}
	if err != nil {
		return err
	}
	found, size, err := q.look(f.Name)
	if err != nil {
		return err
	}
	// One that is not found was taken away, or may not be looked at.
	if found && size >= 0 && size != f.Size {
		return fmt.Errorf("%d bytes lie there after %d were sent", size, f.Size)
	}
	d.done[f.Name] = true
	d.receipt.Sent = appendNew(d.receipt.Sent, nil, f.Name)
	return nil
}

func appendNew(list, other []string, name string) []string {
	for _, known := range append(append([]string{}, list...), other...) {
		if known == name {
			return list
		}
	}
	return append(list, name)
}

// write sends a file from an offset on.
func (d *delivery) write(q queue, f File, at int64) error {
	ours, err := f.Open()
	if err != nil {
		return err
	}
	defer ours.Close()
	if _, err := ours.Seek(at, io.SeekStart); err != nil {
		return err
	}
	counted := &counter{from: io.LimitReader(ours, f.Size-at), told: func(n int64) {
		d.receipt.Bytes += n
		if d.Progress != nil {
			d.Progress(f.Name, n)
		}
	}}
	if err := q.write(f.Name, counted, at); err != nil {
		return err
	}
	if counted.err != nil || counted.read != f.Size-at {
		return fmt.Errorf("our own file ended after %d bytes, not %d: %w", at+counted.read, f.Size, errors.Join(counted.err, io.ErrUnexpectedEOF))
	}
	return nil
}

// counter tells of what is read through it.
type counter struct {
	from io.Reader
	told func(int64)
	read int64
	err  error
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.read += int64(n)
	c.told(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
