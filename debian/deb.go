package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// Bounds on the control part of a .deb. Debian's largest has under 2 MiB
// unpacked (md5sums of packages with many files).
const (
	maxControlUnpacked = 16 << 20
	maxControlFiles    = 1000
)

// Decompressors unpack what the standard library cannot: the key is the
// suffix of control.tar ("xz", "zst"). They must not use memory without
// bound; the reader is closed once the control part has been read.
type Decompressors map[string]func(io.Reader) (io.ReadCloser, error)

// UnsupportedCompression says that a .deb's control part is packed in a way
// for which no Decompressor was given.
type UnsupportedCompression struct{ Suffix string }

func (u UnsupportedCompression) Error() string {
	return fmt.Sprintf("the control part is compressed as %s, which cannot be read here", quote(u.Suffix))
}

// Deb is the control part of a binary package, .deb or .udeb: deb(5).
type Deb struct {
	Package       string
	Version       Version
	Architecture  Arch
	Source        string  // Package, where the package names none
	SourceVersion Version // Version, where the package names none
	Control       Paragraph
	ControlFiles  []string // sorted: "control", "md5sums", "postinst" …
}

// Fields are the fields in the form of Debusine's deb_fields.
func (d *Deb) Fields() map[string]any {
	fields := make(map[string]any, d.Control.Len())
	for _, f := range d.Control.fields {
		fields[f.Name] = f.Value
	}
	return fields
}

// OpenDeb is ReadDeb for a file on disk.
func OpenDeb(name string, more Decompressors) (*Deb, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return ReadDeb(f, info.Size(), more)
}

// ReadDeb reads the control part of a .deb of size bytes; the data part is not
// unpacked. What does not fit deb(5) is a Malformed, another compression than
// none, gz and those in more an UnsupportedCompression.
func ReadDeb(r io.ReaderAt, size int64, more Decompressors) (*Deb, error) {
	member, suffix, err := findControl(r, size)
	if err != nil {
		return nil, err
	}
	unpacked, err := unpack(member, suffix, more)
	if err != nil {
		return nil, err
	}
	control, names, err := readControlTar(unpacked)
	if closeErr := unpacked.Close(); err == nil && closeErr != nil {
		err = malformedf("the control part cannot be unpacked: %v", closeErr)
	}
	if err != nil {
		return nil, err
	}
	return parseControl(control, names)
}

// findControl walks the archive's members: debian-binary, control.tar* and
// data.tar* in this order; names that begin with _ are skipped: deb(5).
func findControl(r io.ReaderAt, size int64) (control io.Reader, suffix string, err error) {
	a, err := newArReader(r, size)
	if err != nil {
		return nil, "", err
	}
	version, err := a.nextRequired()
	if err != nil {
		return nil, "", err
	}
	if version.name != "debian-binary" || version.data.Size() > 100 {
		return nil, "", malformedf("the file is not a Debian package: its first member is not debian-binary")
	}
	text, err := io.ReadAll(version.data)
	if err != nil {
		return nil, "", err
	}
	if !bytes.HasPrefix(text, []byte("2.")) || !bytes.Contains(text, []byte("\n")) {
		return nil, "", malformedf("the Debian package has format version %s, not 2.x", quote(string(text)))
	}
	member, err := a.nextRequired()
	if err != nil {
		return nil, "", err
	}
	suffix, found := strings.CutPrefix(member.name, "control.tar")
	if !found {
		return nil, "", malformedf("the second member of the Debian package is %s, not control.tar", quote(member.name))
	}
	data, err := a.nextRequired()
	if err != nil {
		return nil, "", err
	}
	if !strings.HasPrefix(data.name, "data.tar") {
		return nil, "", malformedf("the third member of the Debian package is %s, not data.tar", quote(data.name))
	}
	return member.data, strings.TrimPrefix(suffix, "."), nil
}

func unpack(r io.Reader, suffix string, more Decompressors) (io.ReadCloser, error) {
	switch open, found := more[suffix]; {
	case suffix == "":
		return io.NopCloser(r), nil
	case suffix == "gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, unpackError(err)
		}
		return z, nil
	case found:
		z, err := open(r)
		if err != nil {
			return nil, unpackError(err)
		}
		return z, nil
	}
	return nil, UnsupportedCompression{Suffix: suffix}
}

// unpackError tells bad data from a disk that fails.
func unpackError(err error) error {
	var onDisk *os.PathError
	if errors.As(err, &onDisk) {
		return err
	}
	var m Malformed
	if errors.As(err, &m) {
		return m
	}
	return malformedf("the control part cannot be unpacked: %v", err)
}

// readControlTar returns the file named control and the names of all files.
// The control part is flat: folders, links and devices have no place in it.
func readControlTar(r io.Reader) (control []byte, names []string, err error) {
	bounded := &boundedReader{r: r, left: maxControlUnpacked}
	archive := tar.NewReader(bounded)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, unpackError(err)
		}
		name := path.Clean(h.Name)
		if name == "." && h.Typeflag == tar.TypeDir {
			continue
		}
		if _, err := ParseFileName(name); err != nil || h.Typeflag != tar.TypeReg {
			return nil, nil, malformedf("the control part holds %s, which is not a plain file at its top", quote(h.Name))
		}
		// A sparse entry can claim any size without having the bytes.
		if h.Size > maxControlUnpacked {
			return nil, nil, malformedf("the control part is larger than %d bytes unpacked", maxControlUnpacked)
		}
		if slices.Contains(names, name) {
			return nil, nil, malformedf("the control part holds %s twice", quote(name))
		}
		if names = append(names, name); len(names) > maxControlFiles {
			return nil, nil, malformedf("the control part holds more than %d files", maxControlFiles)
		}
		if name == "control" {
			if control, err = io.ReadAll(archive); err != nil {
				return nil, nil, unpackError(err)
			}
		}
	}
	if control == nil {
		return nil, nil, malformedf("the control part holds no file control")
	}
	slices.Sort(names)
	return control, names, nil
}

// boundedReader refuses to read more than it has left, where io.LimitReader
// would pretend that the data ends.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, malformedf("the control part is larger than %d bytes unpacked", maxControlUnpacked)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func parseControl(text []byte, names []string) (*Deb, error) {
	r := NewReader(bytes.NewReader(text))
	p, err := r.Next()
	if errors.Is(err, io.EOF) {
		return nil, malformedf("the control file of the Debian package is empty")
	}
	if err != nil {
		return nil, err
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return nil, malformedf("the control file of the Debian package holds more than one paragraph")
	}
	d := &Deb{Control: p, ControlFiles: names}
	if err := require(p, "Package", "Version", "Architecture"); err != nil {
		return nil, err
	}
	if d.Package, err = ParsePackageName(p.Get("Package")); err != nil {
		return nil, err
	}
	if d.Version, err = ParseVersion(p.Get("Version")); err != nil {
		return nil, err
	}
	if d.Architecture, err = ParseArch(p.Get("Architecture")); err != nil {
		return nil, err
	}
	if d.Architecture == ArchSource {
		return nil, malformedf("a binary package cannot have the architecture source")
	}
	d.Source, d.SourceVersion = d.Package, d.Version
	if source := p.Get("Source"); source != "" {
		name, version, err := ParseSourceField(source)
		if err != nil {
			return nil, err
		}
		d.Source = name
		if !version.IsZero() {
			d.SourceVersion = version
		}
	}
	return d, nil
}
