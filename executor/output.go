package executor

import (
	"fmt"
	"io"
	"os"
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

	written int64 // bytes in the file
	beyond  int64 // bytes that came after the limit
	ring    []byte
	next    int
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
	return &output{file: file, tap: tap, limit: limit}, nil
}

// Write takes all of p; failures show in finish.
func (o *output) Write(p []byte) (int, error) {
	size := len(p)
	if fits := o.limit - o.written; fits > 0 {
		head := p[:min(int64(len(p)), fits)]
		o.put(head)
		p = p[len(head):]
	}
	o.beyond += int64(len(p))
	for len(p) > 0 {
		if o.ring == nil {
			o.ring = make([]byte, tailSize)
		}
		n := copy(o.ring[o.next:], p)
		o.next, p = (o.next+n)%tailSize, p[n:]
	}
	return size, nil
}

func (o *output) put(p []byte) {
	o.written += int64(len(p))
	if _, err := o.file.Write(p); err != nil && o.err == nil {
		o.err = fmt.Errorf("writing the log of the command: %w", err)
	}
	if o.tap != nil {
		// Who looks on must not stop the build.
		_, _ = o.tap.Write(p)
	}
}

// finish writes the mark and the end, and says how many bytes were left out.
func (o *output) finish() (leftOut int64, err error) {
	switch {
	case o.beyond > tailSize:
		leftOut = o.beyond - tailSize
		o.put(fmt.Appendf(nil, "\n[debusine: the output is longer than %d bytes; %d bytes are left out here]\n", o.limit, leftOut))
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
