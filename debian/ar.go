package debian

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxArMembers bounds how many members are looked at before the data part.
const maxArMembers = 64

// arReader reads the plain ar archive that a .deb is: a magic line, then for
// each member a header of 60 bytes and its data, padded to an even length.
type arReader struct {
	r    io.ReaderAt
	size int64
	next int64 // where the next header begins
	seen int
}

type arMember struct {
	name string
	data *io.SectionReader
}

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
)

func newArReader(r io.ReaderAt, size int64) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if err := readAt(r, magic, 0); err != nil {
		return nil, err
	}
	if string(magic) != arMagic {
		return nil, malformedf("the file is not a Debian package: it is no ar archive")
	}
	return &arReader{r: r, size: size, next: int64(len(arMagic))}, nil
}

// nextRequired is the next member whose name does not begin with _. That
// there is none is an error.
func (a *arReader) nextRequired() (arMember, error) {
	for {
		m, err := a.member()
		if err != nil || !strings.HasPrefix(m.name, "_") {
			return m, err
		}
	}
}

func (a *arReader) member() (arMember, error) {
	if a.seen++; a.seen > maxArMembers {
		return arMember{}, malformedf("the Debian package has too many members")
	}
	if a.next+arHeaderSize > a.size {
		return arMember{}, malformedf("the Debian package is cut short")
	}
	header := make([]byte, arHeaderSize)
	if err := readAt(a.r, header, a.next); err != nil {
		return arMember{}, err
	}
	length, err := strconv.ParseInt(strings.TrimRight(string(header[48:58]), " "), 10, 64)
	if err != nil || length < 0 || string(header[58:]) != "`\n" {
		return arMember{}, malformedf("the Debian package has a damaged member header")
	}
	start := a.next + arHeaderSize
	if length > a.size-start {
		return arMember{}, malformedf("the Debian package is cut short")
	}
	a.next = start + length + length%2
	return arMember{
		name: strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/"),
		data: io.NewSectionReader(a.r, start, length),
	}, nil
}

// readAt fills p; an early end of the file is bad data, not a failing disk.
func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return malformedf("the Debian package is cut short")
	}
	return err
}
