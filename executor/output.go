package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// tailSize is how much of an output's end is kept beyond its limit.
const tailSize = 64 << 10

// output is the file that takes a command's stdout and stderr. It never
// refuses a byte, so that a command that talks too much is not blocked: past
// the limit only a ring of the last bytes is kept, written by finish.
type output struct {
	file  *os.File
	tap   io.Writer // may be nil
	limit int64
	flood chan struct{} // closed when far too much has come

	written int64 // bytes in the file
	beyond  int64 // bytes that came after the limit
	ring    []byte
	next    int
	full    bool  // the disk was, at the limit
	err     error // the first failure to write
}

func createOutput(path string, limit int64, tap io.Writer) (*output, error) {
	if limit == 0 {
		limit = DefaultOutputLimit
	}
	// A command may have put a link where the log is to be.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("making the log of the command: %w", err)
	}
	return &output{file: file, tap: tap, limit: limit, flood: make(chan struct{})}, nil
}

// Write takes all of p; failures show in finish.
func (o *output) Write(p []byte) (int, error) {
	size := len(p)
	if fits := o.limit - o.written; fits > 0 && o.err == nil {
		n := o.put(p[:min(int64(len(p)), fits)])
		p = p[n:]
		if errors.Is(o.err, syscall.ENOSPC) {
			// The command has filled the disk. What it ends with is kept until
			// it is gone, and with it what it has written.
			o.limit, o.full, o.err = o.written, true, nil
		}
	}
	if before := o.beyond; len(p) > 0 {
		o.beyond += int64(len(p))
		if most := flood(o.limit) - o.limit; before <= most && o.beyond > most && o.flood != nil {
			close(o.flood)
		}
	}
	for len(p) > 0 {
		if o.ring == nil {
			o.ring = make([]byte, tailSize)
		}
		n := copy(o.ring[o.next:], p)
		o.next, p = (o.next+n)%tailSize, p[n:]
	}
	return size, nil
}

// put says how many bytes were written.
func (o *output) put(p []byte) int {
	n, err := o.file.Write(p)
	o.written += int64(n)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("writing the log of the command: %w", err)
	}
	if o.tap != nil {
		// Who looks on must not stop the build.
		_, _ = o.tap.Write(p[:n])
	}
	return n
}

func (o *output) mark(leftOut int64) []byte {
	if o.full {
		return fmt.Appendf(nil, "\n[debusine: the disk was full; %d bytes are left out here]\n", leftOut)
	}
	return fmt.Appendf(nil, "\n[debusine: the output is longer than %d bytes; %d bytes are left out here]\n", o.limit, leftOut)
}

// finish writes the mark and the end, and says how many bytes were left out.
func (o *output) finish() (leftOut int64, err error) {
	switch {
	case o.beyond > tailSize:
		leftOut = o.beyond - tailSize
		o.put(o.mark(leftOut))
		o.put(o.ring[o.next:])
		o.put(o.ring[:o.next])
	case o.beyond > 0:
		o.put(o.ring[:o.beyond])
	}
	if err := o.file.Close(); err != nil && o.err == nil {
		o.err = fmt.Errorf("closing the log of the command: %w", err)
	}
	return leftOut, o.err
}
