package sign

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"debusine"
)

// longestImage is the largest PE executable that is signed, in bytes. Debian's
// kernels have 15 MiB; a unified image with its initrd has some hundred.
const longestImage = 512 << 20

// Bounds of the PE/COFF format (Microsoft's specification, revision 11).
const (
	mostSections    = 96 // what loaders take
	mostDirectories = 16
	certificates    = 4 // the directory of Authenticode signatures
	bytesOfSection  = 40
)

// checkImage refuses what is no PE executable, or lists parts that it does not
// hold. sbsign reads the same headers in C, with a key in its memory: nothing
// that contradicts itself comes before it.
func checkImage(path string) error {
	// Nothing but a plain file: a pipe would hold this process up for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("reading what is to be signed: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading what is to be signed: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > longestImage {
		return debusine.Invalidf("the file is no plain one of at most %d bytes", longestImage)
	}
	return image{f, info.Size()}.check()
}

// image is the bytes of a file that should be a PE executable.
type image struct {
	io.ReaderAt
	size int64
}

func noImage(format string, args ...any) error {
	return debusine.Invalidf("the file is not a sound PE executable: "+format, args...)
}

// at reads n bytes at an offset, which must be there.
func (i image) at(offset, n int64) ([]byte, error) {
	if offset < 0 || offset > i.size || n > i.size-offset {
		return nil, noImage("it ends before its headers do")
	}
	raw := make([]byte, n)
	if _, err := i.ReadAt(raw, offset); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading what is to be signed: %w", err)
	}
	return raw, nil
}

func (i image) check() error {
	dos, err := i.at(0, 64)
	if err != nil || dos[0] != 'M' || dos[1] != 'Z' {
		return noImage("it does not begin as one")
	}
	start := int64(binary.LittleEndian.Uint32(dos[60:]))
	coff, err := i.at(start, 24)
	if err != nil {
		return err
	}
	if string(coff[:4]) != "PE\x00\x00" {
		return noImage("it has no PE header")
	}
	sections, optional := int64(binary.LittleEndian.Uint16(coff[6:])), int64(binary.LittleEndian.Uint16(coff[20:]))
	if sections == 0 || sections > mostSections {
		return noImage("it has %d sections", sections)
	}
	header, err := i.at(start+24, optional)
	if err != nil {
		return err
	}
	headers, err := i.optional(header)
	if err != nil {
		return err
	}
	table := start + 24 + optional
	if end := table + sections*bytesOfSection; headers < end || headers > i.size {
		return noImage("its headers have %d bytes in one place and %d in another", headers, end)
	}
	return i.sections(table, sections)
}

// optional checks the header that executables have, and gives how many bytes it
// says that all headers have.
func (i image) optional(header []byte) (headers int64, err error) {
	counted := 0 // where the number of directories stands
	if len(header) >= 2 {
		counted = map[uint16]int{0x10b: 92, 0x20b: 108}[binary.LittleEndian.Uint16(header)]
	}
	if counted == 0 || len(header) < counted+4 {
		return 0, noImage("its optional header is of no known kind")
	}
	directories := int(binary.LittleEndian.Uint32(header[counted:]))
	if directories <= certificates || directories > mostDirectories || len(header) < counted+4+8*directories {
		return 0, noImage("it has %d directories in a header of %d bytes", directories, len(header))
	}
	entry := header[counted+4+8*certificates:]
	return int64(binary.LittleEndian.Uint32(header[60:])), i.certificates(int64(binary.LittleEndian.Uint32(entry)), int64(binary.LittleEndian.Uint32(entry[4:])))
}

// certificates checks the signatures that are there already: a list of entries
// that each say their length, at the file's end.
func (i image) certificates(at, length int64) error {
	if at == 0 && length == 0 {
		return nil
	}
	if at == 0 || at > i.size || length > i.size-at {
		return noImage("its signatures lie outside of it")
	}
	for end := at + length; at < end; {
		raw, err := i.at(at, 8)
		if err != nil {
			return err
		}
		n := int64(binary.LittleEndian.Uint32(raw))
		if n < 8 || n > end-at {
			return noImage("one of its signatures has %d bytes", n)
		}
		at += (n + 7) &^ 7
	}
	return nil
}

func (i image) sections(table, count int64) error {
	raw, err := i.at(table, count*bytesOfSection)
	if err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[bytesOfSection:] {
		length, at := int64(binary.LittleEndian.Uint32(raw[16:])), int64(binary.LittleEndian.Uint32(raw[20:]))
		// Without bytes in the file the place means nothing.
		if length > 0 && (at > i.size || length > i.size-at) {
			return noImage("section %q lies outside of it", trimmed(raw[:8]))
		}
	}
	return nil
}

// trimmed is the name of a section, which zeros fill up.
func trimmed(name []byte) string {
	for i, b := range name {
		if b == 0 {
			return string(name[:i])
		}
	}
	return string(name)
}
