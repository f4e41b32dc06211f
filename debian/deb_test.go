package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const goodControl = "Package: hello\nVersion: 2.10-3+b1\nSource: hello-src (2.10-3)\nArchitecture: amd64\n"

type entry struct {
	name, text string
	kind       byte
}

// controlTar packs plain files, or what kind says.
func controlTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.text))}
		if e.kind == tar.TypeSymlink || e.kind == tar.TypeLink {
			h.Linkname, h.Size = e.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, text string) entry { return entry{name, text, tar.TypeReg} }

// packed is what a program makes of data.
func packed(t testing.TB, data []byte, command ...string) []byte {
	t.Helper()
	run := exec.Command(command[0], command[1:]...)
	run.Stdin = bytes.NewReader(data)
	out, err := run.Output()
	if err != nil {
		t.Fatalf("packing with %v: %v", command, err)
	}
	return out
}

// widerXZ writes another size of the window into the first block of an xz
// stream: 28 stands for 64 MiB, each two more for twice as much.
func widerXZ(stream []byte, window byte) []byte {
	const block = 12 // after the stream's header
	header := stream[block : block+4*int(stream[block])]
	header[4] = window // after size, flags, filter and its length
	end := stream[block+len(header):]
	binary.LittleEndian.PutUint32(end, crc32.ChecksumIEEE(header))
	return stream
}

// emptyZstd is a frame of nothing that wants a window of 1<<bits bytes.
func emptyZstd(bits byte) []byte {
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (bits - 10) << 3, 1, 0, 0}
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// archive makes an ar archive of pairs of name and data.
func archive(pairs ...string) []byte {
	b := []byte(arMagic)
	for i := 0; i+1 < len(pairs); i += 2 {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", pairs[i], 0, 0, 0, "100644", len(pairs[i+1]), pairs[i+1])
		if len(pairs[i+1])%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func deb(suffix string, control []byte) []byte {
	return archive("debian-binary", "2.0\n", "control.tar"+suffix, string(control), "data.tar", "")
}

func readDeb(data []byte) (*Deb, error) {
	return ReadDeb(bytes.NewReader(data), int64(len(data)))
}

func TestReadDeb(t *testing.T) {
	plain := controlTar(t, entry{"./", "", tar.TypeDir}, file("./postinst", "x"), file("./control", goodControl))
	for name, data := range map[string][]byte{
		"plain":                       deb("", plain),
		"gz":                          deb(".gz", gz(plain)),
		"xz":                          deb(".xz", packed(t, plain, "xz")),
		"xz of the widest window":     deb(".xz", widerXZ(packed(t, plain, "xz", "-C", "sha256"), 28)),
		"xz of several blocks":        deb(".xz", packed(t, plain, "xz", "-T2", "--block-size=1024")),
		"zst":                         deb(".zst", packed(t, plain, "zstd")),
		"zst of the widest window":    deb(".zst", append(emptyZstd(27), packed(t, plain, "zstd")...)),
		"with a slash behind names":   archive("debian-binary/", "2.0\n", "control.tar/", string(plain), "data.tar/", ""),
		"with members to skip":        archive("debian-binary", "2.0\n", "_x", "odd", "control.tar", string(plain), "_y", "", "data.tar.zst", "junk"),
		"with a later member":         append(deb("", plain), archive("_gpgorigin", "sig")[len(arMagic):]...),
		"of a later minor version":    archive("debian-binary", "2.7\nmore\n", "control.tar", string(plain), "data.tar", ""),
		"with names that have no dot": deb("", controlTar(t, file("control", goodControl), file("postinst", ""))),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := readDeb(data)
			if err != nil {
				t.Fatal(err)
			}
			if d.Package != "hello" || d.Source != "hello-src" || d.SourceVersion.String() != "2.10-3" || d.Version.String() != "2.10-3+b1" || d.Architecture != "amd64" {
				t.Errorf("got %+v", d)
			}
			if strings.Join(d.ControlFiles, " ") != "control postinst" {
				t.Errorf("got %v", d.ControlFiles)
			}
		})
	}
}

func TestReadDebRefuses(t *testing.T) {
	good := file("./control", goodControl)
	with := func(entries ...entry) []byte { return deb("", controlTar(t, entries...)) }
	many := []entry{good}
	for i := range maxControlFiles {
		many = append(many, file(fmt.Sprintf("./f%d", i), ""))
	}
	zeroes := controlTar(t, file("./zeroes", strings.Repeat("\x00", maxControlUnpacked)), good)
	huge := file("./huge", strings.Repeat("\x00", maxControlUnpacked))
	whole := with(good)
	for name, data := range map[string][]byte{
		"nothing":                               nil,
		"another kind of file":                  []byte("PK\x03\x04 and a good deal more than that"),
		"an archive of something else":          archive("a.o", "x"),
		"format version 3":                      archive("debian-binary", "3.0\n", "control.tar", string(controlTar(t, good)), "data.tar", ""),
		"no control part":                       archive("debian-binary", "2.0\n", "data.tar", ""),
		"no data part":                          archive("debian-binary", "2.0\n", "control.tar", string(controlTar(t, good))),
		"a file that is cut short":              whole[:len(whole)-2048],
		"a member of negative size":             bytes.Replace(whole, []byte("4         `"), []byte("-4        `"), 1),
		"more members than a package has":       archive(strings.Split(strings.Repeat("_x||", 100), "|")...),
		"a control part that is no tar":         deb("", []byte(strings.Repeat("x", 1024))),
		"a control part that is no gz":          deb(".gz", []byte("x")),
		"a control part that is no xz":          deb(".xz", []byte("x")),
		"an xz with a damaged end":              deb(".xz", packed(t, controlTar(t, good), "xz")[:100]),
		"a zst with a damaged end":              deb(".zst", packed(t, controlTar(t, good), "zstd")[:60]),
		"a bomb of xz":                          deb(".xz", packed(t, zeroes, "xz", "-0")),
		"a bomb of zst":                         deb(".zst", packed(t, zeroes, "zstd", "-1")),
		"xz that wants 256 MiB":                 deb(".xz", widerXZ(packed(t, controlTar(t, good), "xz"), 32)),
		"zst that wants 2 GiB":                  deb(".zst", append(emptyZstd(31), packed(t, controlTar(t, good), "zstd")...)),
		"a part that is packed, yet too large":  deb(".xz", bytes.Repeat([]byte{0}, maxControlUnpacked+1)),
		"a gz with a damaged end":               deb(".gz", gz(controlTar(t, good))[:60]),
		"no file control":                       with(file("./md5sums", "")),
		"control twice":                         with(good, good),
		"a file in a folder":                    with(good, file("./a/b", "")),
		"a file above":                          with(good, file("../b", "")),
		"an absolute file":                      with(good, file("/etc/b", "")),
		"a symbolic link":                       with(entry{"./control", "/etc/passwd", tar.TypeSymlink}),
		"a device":                              with(good, entry{"./null", "", tar.TypeChar}),
		"a folder":                              with(good, entry{"./a", "", tar.TypeDir}),
		"more files than a package has":         with(many...),
		"more bytes than the limit":             deb(".gz", gz(controlTar(t, huge, good))),
		"more bytes than the limit, in control": deb(".gz", gz(controlTar(t, file("./control", strings.Repeat(" ", maxControlUnpacked+1))))),
		"an empty control file":                 with(file("./control", "\n")),
		"two paragraphs in control":             with(file("./control", goodControl+"\nPackage: b\n")),
		"a paragraph and rubbish":               with(file("./control", goodControl+"\nrubbish\n")),
		"no Version":                            with(file("./control", "Package: hello\nArchitecture: amd64\n")),
		"a bad Version":                         with(file("./control", "Package: hello\nVersion: x\nArchitecture: amd64\n")),
		"a bad Package":                         with(file("./control", "Package: ../x\nVersion: 1\nArchitecture: amd64\n")),
		"a bad Source":                          with(file("./control", strings.Replace(goodControl, "hello-src (", "/x (", 1))),
		"an unknown Architecture":               with(file("./control", "Package: hello\nVersion: 1\nArchitecture: amd46\n")),
		"the Architecture source":               with(file("./control", "Package: hello\nVersion: 1\nArchitecture: source\n")),
	} {
		t.Run(name, func(t *testing.T) {
			if d, err := readDeb(data); !isMalformed(err) || d != nil {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

// A sparse control file of 1 GiB takes 10 kB in the archive.
func TestReadDebRefusesASparseBomb(t *testing.T) {
	top := t.TempDir()
	writeFile(t, filepath.Join(top, "control"), goodControl, 0o644)
	if err := os.Truncate(filepath.Join(top, "control"), 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"gnu", "posix"} {
		packed, err := exec.Command("tar", "-C", top, "-cS", "--format="+format, "control").Output()
		if err != nil || len(packed) > 1<<20 {
			t.Fatalf("tar made %d bytes: %v", len(packed), err)
		}
		if d, err := readDeb(deb("", packed)); !isMalformed(err) {
			t.Errorf("%s: %+v, %v", format, d, err)
		}
	}
}

// TestReadDebReadsWhatDpkgPacked has dpkg-deb pack with each compression.
func TestReadDebReadsWhatDpkgPacked(t *testing.T) {
	top := t.TempDir()
	writeFile(t, filepath.Join(top, "p/DEBIAN/control"), goodControl+"Maintainer: A <a@example.org>\nDescription: x\n", 0o644)
	for _, method := range []string{"none", "gzip", "xz", "zstd"} {
		name := filepath.Join(top, method+".deb")
		if out, err := exec.Command("dpkg-deb", "--uniform-compression", "-Z"+method, "-b", filepath.Join(top, "p"), name).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if d, err := OpenDeb(name); err != nil || d.SourceVersion.String() != "2.10-3" {
			t.Errorf("%s: %+v, %v", method, d, err)
		}
	}
	if _, err := OpenDeb(filepath.Join(top, "absent.deb")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzReadDeb(f *testing.F) {
	control := controlTar(f, file("./control", goodControl))
	f.Add(deb("", control))
	f.Add(deb(".gz", gz(control)))
	f.Add(archive("debian-binary", "2.0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := readDeb(data)
		var unsupported UnsupportedCompression
		if err != nil && !isMalformed(err) && !errors.As(err, &unsupported) {
			t.Errorf("an error that is no Malformed: %v", err)
		}
		if err == nil && (d.Package == "" || !d.Architecture.IsReal() && d.Architecture != ArchAll) {
			t.Errorf("got %+v", d)
		}
	})
}
