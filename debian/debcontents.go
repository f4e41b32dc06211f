package debian

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"
)

// maxDataEntries bounds how many files a .deb may hold. Debian's largest
// (documentation of programming interfaces) have some hundred thousand.
const maxDataEntries = 4 << 20

// DebEntry is one entry of the data part of a .deb, as `dpkg-deb -c` lists it.
type DebEntry struct {
	Name     string      // clean and relative: "usr/bin/hello"; "." for the root
	Mode     fs.FileMode // kind and permissions, also setuid, setgid, sticky
	Size     int64       // bytes of a plain file, else 0
	Link     string      // what a symbolic link says, or the name that a hard link shares
	HardLink bool        // Link is the Name of an entry before
	UID, GID int
	User     string
	Group    string
	Modified time.Time
}

// ListDeb reads the names in the data part of a .deb of size bytes, in their
// order, with memory that does not grow with the package. All of the part has
// to be unpacked for it, at most limit bytes. It stops at the first error,
// which is as in ReadDeb. Names that lead out of the root are refused; where
// symbolic links lead is not looked at.
func ListDeb(r io.ReaderAt, size, limit int64) iter.Seq2[DebEntry, error] {
	return func(yield func(DebEntry, error) bool) {
		if err := listDeb(r, size, limit, func(e DebEntry) bool { return yield(e, nil) }); err != nil {
			yield(DebEntry{}, err)
		}
	}
}

// errEnough ends a walk whose caller has seen what it wanted.
var errEnough = errors.New("enough")

func listDeb(r io.ReaderAt, size, limit int64, yield func(DebEntry) bool) error {
	err := WalkDeb(r, size, limit, func(e DebEntry, _ io.Reader) error {
		if !yield(e) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// WalkDeb is ListDeb with the contents: visit may read those of a plain file,
// until it returns. Its error ends the walk and is returned.
func WalkDeb(r io.ReaderAt, size, limit int64, visit func(e DebEntry, content io.Reader) error) error {
	parts, err := findParts(r, size)
	if err != nil {
		return err
	}
	unpacked, err := decompress(parts.data.data, parts.data.suffix("data.tar"))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	archive := tar.NewReader(bounded(unpacked, "the data part", limit))
	for n := 0; ; n++ {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unpackError(err)
		case n == maxDataEntries:
			return malformedf("the data part holds more than %d files", maxDataEntries)
		}
		e, err := debEntry(h)
		if err != nil {
			return err
		}
		if err := visit(e, tarContent{archive}); err != nil {
			return err
		}
	}
}

// tarContent gives what a tar file holds with errors that tell bad data.
type tarContent struct{ r io.Reader }

func (t tarContent) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unpackError(err)
	}
	return n, err
}

func debEntry(h *tar.Header) (DebEntry, error) {
	e := DebEntry{Mode: h.FileInfo().Mode(), UID: h.Uid, GID: h.Gid, User: h.Uname, Group: h.Gname, Modified: h.ModTime}
	var err error
	if e.Name, err = insideRoot(h.Name); err != nil {
		return e, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Size = h.Size
	case tar.TypeLink:
		e.HardLink = true
		e.Link, err = insideRoot(h.Linkname)
	case tar.TypeSymlink:
		e.Link = h.Linkname
	case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return e, malformedf("the data part holds %s, which is of no kind that a package may hold", quote(h.Name))
	}
	return e, err
}

// insideRoot cleans a name: dpkg-deb writes ./usr/bin/hello.
func insideRoot(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if name == "" || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(name, 0) {
		return "", malformedf("the data part holds %s, which is no name below the root", quote(name))
	}
	return clean, nil
}
