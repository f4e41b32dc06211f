package debian

import (
	"archive/tar"
	"bytes"
	"errors"
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
func OpenDeb(name string) (*Deb, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return ReadDeb(f, info.Size())
}

// ReadDeb reads the control part of a .deb of size bytes; the data part is not
// unpacked (see ListDeb). What does not fit deb(5) is a Malformed, another
// compression than none, gz, xz and zst an UnsupportedCompression.
func ReadDeb(r io.ReaderAt, size int64) (*Deb, error) {
	parts, err := findParts(r, size)
	if err != nil {
		return nil, err
	}
	// An empty stream can be repeated without end; packed, the part is smaller.
	if parts.control.data.Size() > maxControlUnpacked {
		return nil, malformedf("the control part is larger than %d bytes", maxControlUnpacked)
	}
	unpacked, err := decompress(parts.control.data, parts.control.suffix("control.tar"))
	if err != nil {
		return nil, err
	}
	defer unpacked.Close()
	control, names, err := readControlTar(bounded(unpacked, "the control part", maxControlUnpacked))
	if err != nil {
		return nil, err
	}
	return parseControl(control, names)
}

// debParts are the members of a .deb that count.
type debParts struct{ control, data arMember }

// suffix is what follows the part's name and a dot: "xz".
func (m arMember) suffix(part string) string {
	return strings.TrimPrefix(strings.TrimPrefix(m.name, part), ".")
}

// findParts walks the archive's members: debian-binary, control.tar* and
// data.tar* in this order; names that begin with _ are skipped: deb(5).
func findParts(r io.ReaderAt, size int64) (parts debParts, err error) {
	a, err := newArReader(r, size)
	if err != nil {
		return parts, err
	}
	version, err := a.nextRequired()
	if err != nil {
		return parts, err
	}
	if version.name != "debian-binary" || version.data.Size() > 100 {
		return parts, malformedf("the file is not a Debian package: its first member is not debian-binary")
	}
	text, err := io.ReadAll(version.data)
	if err != nil {
		return parts, err
	}
	if !bytes.HasPrefix(text, []byte("2.")) || !bytes.Contains(text, []byte("\n")) {
		return parts, malformedf("the Debian package has format version %s, not 2.x", quote(string(text)))
	}
	if parts.control, err = a.nextRequired(); err != nil {
		return parts, err
	}
	if !strings.HasPrefix(parts.control.name, "control.tar") {
		return parts, malformedf("the second member of the Debian package is %s, not control.tar", quote(parts.control.name))
	}
	if parts.data, err = a.nextRequired(); err != nil {
		return parts, err
	}
	if !strings.HasPrefix(parts.data.name, "data.tar") {
		return parts, malformedf("the third member of the Debian package is %s, not data.tar", quote(parts.data.name))
	}
	return parts, nil
}

// readControlTar returns the file named control and the names of all files.
// The control part is flat: folders, links and devices have no place in it.
func readControlTar(r *boundedReader) (control []byte, names []string, err error) {
	archive := tar.NewReader(r)
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
			return nil, nil, r.tooLarge()
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
